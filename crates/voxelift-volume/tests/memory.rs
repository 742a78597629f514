//! What reading costs: one f32 copy and a small buffer, of however many volumes, and nothing for what a header merely
//! claims.
//!
//! One test in a program of its own: the peak is the whole process's.

#[cfg(target_os = "linux")]
#[test]
fn a_volume_is_in_memory_once_and_a_claim_costs_nothing() {
    use std::fs::File;
    use std::io::{BufWriter, Write};

    use voxelift_volume::nifti::{OutputType, ReadOptions, WriteOptions, read, write, write_frames};
    use voxelift_volume::{VolumeError, scan};

    /// The process's peak, in bytes; writing to `clear_refs` starts it anew.
    fn peak() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    }
    fn restart() -> u64 {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        peak()
    }

    // 256^3 voxels of int16: 32 MiB stored, 64 MiB as f32.
    const VOLUME: u64 = 4 << 24;
    fn put(header: &mut [u8], at: usize, value: &[u8]) {
        header[at..at + value.len()].copy_from_slice(value);
    }
    let mut header = [0_u8; 352];
    put(&mut header, 0, &348_i32.to_le_bytes());
    for (axis, count) in [3_i16, 256, 256, 256, 1, 1, 1, 1].into_iter().enumerate() {
        put(&mut header, 40 + 2 * axis, &count.to_le_bytes());
    }
    put(&mut header, 70, &4_i16.to_le_bytes());
    put(&mut header, 72, &16_i16.to_le_bytes());
    (0..4).for_each(|axis| put(&mut header, 76 + 4 * axis, &1.0_f32.to_le_bytes()));
    put(&mut header, 108, &352.0_f32.to_le_bytes());
    put(&mut header, 344, b"n+1\0");
    let fill = |out: &mut dyn Write| {
        out.write_all(&header).unwrap();
        // Neighbours repeat, so that it packs fast.
        (0..256_u32).for_each(|z| {
            out.write_all(&(z as i16 * 17).to_le_bytes().repeat(1 << 16))
                .unwrap()
        });
    };
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("a.nii");
    let mut out = BufWriter::new(File::create(&plain).unwrap());
    fill(&mut out);
    out.flush().unwrap();
    let gz = folder.path().join("a.nii.gz");
    let mut out = flate2::write::GzEncoder::new(File::create(&gz).unwrap(), flate2::Compression::fast());
    fill(&mut out);
    out.finish().unwrap();

    for path in [&plain, &gz] {
        let before = restart();
        let image = read(path, &ReadOptions::default()).unwrap();
        let cost = peak() - before;
        assert!(image.frames[0].at([0, 0, 255]) == 255.0 * 17.0);
        assert!(
            cost < VOLUME + VOLUME / 8,
            "{}: {cost} bytes for a volume of {VOLUME}",
            path.display()
        );

        let before = restart();
        let options = WriteOptions {
            dtype: OutputType::Same,
            force: true,
            ..WriteOptions::default()
        };
        write(&folder.path().join("out.nii"), &image, &options).unwrap();
        let cost = peak() - before;
        assert!(cost < VOLUME / 8, "writing costs {cost} bytes");
    }

    // As many volumes as one likes, one after another.
    const FRAME: u64 = 4 << 21;
    for frames in [1, 4, 16] {
        put(&mut header, 40, &4_i16.to_le_bytes());
        (0..3).for_each(|axis| put(&mut header, 42 + 2 * axis, &128_i16.to_le_bytes()));
        put(&mut header, 48, &(frames as i16).to_le_bytes());
        let mut out = BufWriter::new(File::create(&plain).unwrap());
        out.write_all(&header).unwrap();
        (0..frames * 128_u32).for_each(|z| out.write_all(&(z as i16).to_le_bytes().repeat(1 << 14)).unwrap());
        out.flush().unwrap();
        for dtype in [OutputType::Float32, OutputType::Uint16] {
            let before = restart();
            let scan = scan::open(&plain, &ReadOptions::default()).unwrap();
            let scaled = scan
                .frames
                .map(|frame| Ok::<_, VolumeError>(frame?.map(|v| v / 3.0)));
            let options = WriteOptions {
                dtype,
                force: true,
                ..WriteOptions::default()
            };
            write_frames(&folder.path().join("out.nii"), &scan.header, scaled, &options).unwrap();
            let cost = peak() - before;
            assert!(
                cost < 5 * FRAME / 2,
                "{frames} volumes of {FRAME} bytes cost {cost}"
            );
        }
    }
    put(&mut header, 40, &3_i16.to_le_bytes());
    (0..3).for_each(|axis| put(&mut header, 42 + 2 * axis, &256_i16.to_le_bytes()));

    // The same claims with nothing behind them.
    let claims = [header[..].to_vec(), {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&header).unwrap();
        packed.write_all(&[0; 1 << 16]).unwrap();
        packed.finish().unwrap()
    }];
    for claim in claims {
        std::fs::write(&plain, claim).unwrap();
        let before = restart();
        read(&plain, &ReadOptions::default()).unwrap_err();
        let cost = peak() - before;
        assert!(cost < 2 << 20, "a claim of {VOLUME} bytes cost {cost}");
    }
}
