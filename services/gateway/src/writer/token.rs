//! The secret that opens changes, in a file of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use subtle::ConstantTimeEq;

/// Shortest token that is taken, in bytes.
const SHORTEST: usize = 16;

/// A token in a file. It is read at each use, so that a new one counts at once.
#[derive(Debug, Clone)]
pub struct Token(PathBuf);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("reading the token file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// What could be guessed.
    #[error("the token in {} has {len} bytes, at least {SHORTEST} are needed", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// Its length without white space around it.
        len: usize,
    },
}

impl Token {
    /// The token in `path`.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn at(path: &Path) -> Result<Self, TokenError> {
        let token = Self(path.to_owned());
        token.read().map(|_| token)
    }

    /// Whether `said` is the token; takes as long for a wrong one of the same length.
    ///
    /// # Errors
    /// [`TokenError`] when the file is gone.
    pub fn opens(&self, said: &str) -> Result<bool, TokenError> {
        Ok(bool::from(self.read()?.as_bytes().ct_eq(said.as_bytes())))
    }

    fn read(&self) -> Result<String, TokenError> {
        let path = || self.0.clone();
        let text = fs::read_to_string(&self.0).map_err(|source| TokenError::Read { path: path(), source })?;
        let token = text.trim().to_owned();
        if token.len() < SHORTEST {
            Err(TokenError::Short { path: path(), len: token.len() })
        } else {
            Ok(token)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_and_a_new_one_counts_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(matches!(Token::at(&path), Err(TokenError::Read { .. })));
        fs::write(&path, "short\n").unwrap();
        assert!(matches!(Token::at(&path), Err(TokenError::Short { len: 5, .. })));
        fs::write(&path, "0123456789abcdef\n").unwrap();
        let token = Token::at(&path).unwrap();
        for (said, opens) in
            [("0123456789abcdef", true), ("0123456789abcdeF", false), ("0123456789abcde", false), ("", false)]
        {
            assert_eq!(token.opens(said).unwrap(), opens, "{said:?}");
        }
        fs::write(&path, "fedcba9876543210").unwrap();
        assert!(token.opens("fedcba9876543210").unwrap() && !token.opens("0123456789abcdef").unwrap());
    }
}
