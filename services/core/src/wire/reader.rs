//! Big-endian fields out of a byte slice, without a panic.

/// Takes fields from the front of a slice.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// A 48-bit number: microseconds for 8.9 years.
    pub(super) fn u48(&mut self) -> Option<u64> {
        let [a, b, c, d, e, f] = self.take::<6>()?;
        Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }
}

/// The low six bytes of `value`, big-endian.
pub(super) fn u48_bytes(value: u64) -> [u8; 6] {
    let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
    [a, b, c, d, e, f]
}
