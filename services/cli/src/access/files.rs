//! Files that are written together or not at all, and replace nothing unasked.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// Readable by everybody.
const PUBLIC: u32 = 0o644;
/// Readable by their owner alone.
const SECRET: u32 = 0o600;

/// What is to be written.
#[derive(Default)]
pub(crate) struct Files(Vec<(PathBuf, String, u32)>);

impl Files {
    /// Adds a file that anybody may read.
    pub(crate) fn public(&mut self, path: PathBuf, text: String) {
        self.0.push((path, text, PUBLIC));
    }

    /// Adds a file that its owner alone may read.
    pub(crate) fn secret(&mut self, path: PathBuf, text: String) {
        self.0.push((path, text, SECRET));
    }

    /// Writes all of them; with `force` also over what is there. Yields their paths.
    pub(crate) fn write(self, force: bool) -> anyhow::Result<Vec<PathBuf>> {
        if let (false, Some((path, ..))) = (force, self.0.iter().find(|(path, ..)| path.exists())) {
            bail!("{} is there already", path.display());
        }
        let mut written = Vec::new();
        for (path, text, mode) in self.0 {
            write(&path, &text, mode, force).with_context(|| format!("writing {}", path.display()))?;
            written.push(path);
        }
        Ok(written)
    }
}

fn write(path: &Path, text: &str, mode: u32, force: bool) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if force && path.exists() {
        // A new file: one that others may read would keep its mode.
        fs::remove_file(path)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn files(folder: &Path, text: &str) -> Files {
        let mut files = Files::default();
        files.public(folder.join("open"), text.to_owned());
        files.secret(folder.join("deep/closed"), text.to_owned());
        files
    }

    #[test]
    fn nothing_is_replaced_unasked_and_secrets_are_their_owners() {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path(), "first").write(false).unwrap();
        fs::remove_file(folder.path().join("open")).unwrap();
        let error = files(folder.path(), "second").write(false).unwrap_err().to_string();
        assert!(error.contains("deep/closed is there already"), "{error}");
        assert!(!folder.path().join("open").exists(), "all or nothing");

        let closed = folder.path().join("deep/closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o644)).unwrap();
        files(folder.path(), "third").write(true).unwrap();
        assert_eq!(fs::read_to_string(&closed).unwrap(), "third");
        assert_eq!(fs::metadata(&closed).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
