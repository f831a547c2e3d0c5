//! Reading packets out of the AVI stream that ffmpeg's encoder side writes to a pipe.
//!
//! AVI is taken because it states the exact length of each packet in front of it, and needs no seeking back.
//! Source of the layout: the OpenDML AVI file format extensions, version 1.02, and libavformat's `avienc.c`.

/// Longest packet that is believed, in bytes.
const MAX_PACKET_LEN: usize = 64 << 20;
const CHUNK_HEADER_LEN: usize = 8;

/// Why bytes are no AVI stream of one video track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AviError {
    /// Does not start with `RIFF .... AVI `.
    #[error("encoder output is no AVI stream")]
    Magic,
    /// A chunk of a length that no frame can have.
    #[error("AVI chunk {id:?} of {len} bytes")]
    Length {
        /// Name of the chunk.
        id: [u8; 4],
        /// Its length in bytes.
        len: usize,
    },
}

/// Where in the stream the reader is.
#[derive(Debug, Default)]
pub(crate) struct AviReader {
    begun: bool,
}

impl AviReader {
    /// Takes the next video packet off the front of `inbox`; `None` when it is not complete yet.
    pub(crate) fn next_packet(&mut self, inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, AviError> {
        loop {
            let Some((id, len)) = chunk_header(inbox) else { return Ok(None) };
            if !self.begun {
                if id != *b"RIFF" {
                    return Err(AviError::Magic);
                }
                self.begun = true;
            }
            // Lists are entered, not skipped: on a pipe their lengths are never filled in.
            if id == *b"RIFF" || id == *b"LIST" {
                if inbox.len() < CHUNK_HEADER_LEN + 4 {
                    self.begun = id != *b"RIFF";
                    return Ok(None);
                }
                inbox.drain(..CHUNK_HEADER_LEN + 4);
                continue;
            }
            if len > MAX_PACKET_LEN {
                return Err(AviError::Length { id, len });
            }
            let padded = CHUNK_HEADER_LEN + len.next_multiple_of(2);
            if inbox.len() < padded {
                return Ok(None);
            }
            let packet: Vec<u8> = inbox.drain(..padded).skip(CHUNK_HEADER_LEN).take(len).collect();
            // An empty video chunk is AVI's way to say "as before".
            if id == *b"00dc" && len > 0 {
                return Ok(Some(packet));
            }
        }
    }
}

fn chunk_header(bytes: &[u8]) -> Option<([u8; 4], usize)> {
    let (id, rest) = bytes.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    Some((*id, usize::try_from(len).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(packets: &[&[u8]]) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrlstrf\x03\0\0\0abc\0LIST\0\0\0\0movi".to_vec();
        for packet in packets {
            out.extend(b"00dc");
            out.extend((packet.len() as u32).to_le_bytes());
            out.extend(*packet);
            out.resize(out.len().next_multiple_of(2), 0);
        }
        out
    }

    #[test]
    fn packets_come_out_as_soon_as_they_are_complete() {
        let whole = stream(&[b"first", b"", b"second"]);
        let (mut reader, mut inbox, mut packets) = (AviReader::default(), Vec::new(), Vec::new());
        for byte in whole {
            inbox.push(byte);
            packets.extend(reader.next_packet(&mut inbox).unwrap());
        }
        assert_eq!(packets, [b"first".to_vec(), b"second".to_vec()]);
        assert!(inbox.is_empty());
    }

    #[test]
    fn other_streams_and_absurd_lengths_are_refused() {
        let refused = |bytes: &[u8]| AviReader::default().next_packet(&mut bytes.to_vec()).unwrap_err();
        assert_eq!(refused(b"\0\0\0\x01\x40\x01\x0c\x01"), AviError::Magic);
        let huge = [&stream(&[])[..], b"00dc\xff\xff\xff\xff"].concat();
        assert!(matches!(refused(&huge), AviError::Length { .. }));
    }

    #[test]
    fn any_bytes_are_refused_or_read() {
        bolero::check!().with_type::<Vec<u8>>().with_iterations(2000).for_each(|bytes| {
            let mut reader = AviReader { begun: bytes.len() % 2 == 0 };
            let mut inbox = bytes.clone();
            while let Ok(Some(packet)) = reader.next_packet(&mut inbox) {
                assert!(packet.len() < bytes.len());
            }
        });
    }
}
