//! What attachments cost the disk.

/// A block of the disk, in bytes; the least a file takes.
const BLOCK_BYTES: u64 = 4096;

/// What a file of so many bytes takes on the disk: whole blocks.
pub fn cost(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).max(1).saturating_mul(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn a_file_takes_whole_blocks() {
        for (bytes, taken) in [(0, 4096), (16, 4096), (4096, 4096), (4097, 8192)] {
            assert_eq!(cost(bytes), taken);
        }
    }
}
