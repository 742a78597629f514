//! DICOM series made element by element in Explicit VR Little Endian, without the crate under test.

use tempfile::TempDir;

/// What must never come out again.
pub const PERSON: &str = "DOE^JANE";

/// An image of three columns and two rows.
#[derive(Clone)]
pub struct Plan {
    pub series: &'static str,
    pub number: usize,
    pub position: [f64; 3],
    pub orientation: [f64; 6],
    pub rows: u16,
    pub spacing: &'static str,
    pub rescale: Option<(f64, f64)>,
    pub signed: bool,
    pub bits_stored: u16,
    pub frames: Option<&'static str>,
    pub photometric: &'static str,
    pub kind: &'static str,
    pub echo_ms: &'static str,
    pub temporal: Option<&'static str>,
    pub value: u16,
    pub uid: usize,
    pub preamble: bool,
}

impl Plan {
    pub fn slice(number: usize, position: [f64; 3]) -> Self {
        Self {
            series: "1.2.3.4",
            number,
            position,
            orientation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            rows: 2,
            spacing: "2.5\\1.5",
            rescale: None,
            signed: false,
            bits_stored: 12,
            frames: None,
            photometric: "MONOCHROME2",
            kind: "ORIGINAL\\PRIMARY\\M\\ND",
            echo_ms: "30",
            temporal: None,
            value: 100 * number as u16,
            uid: number,
            preamble: true,
        }
    }

    pub fn pixels(&self) -> Vec<u16> {
        (0..3 * self.rows).map(|k| self.value + k).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let join = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join("\\");
        let mut set = Vec::new();
        let mut text = |group: u16, element: u16, vr: &str, value: &str| {
            let pad = if vr == "UI" { b'\0' } else { b' ' };
            let mut value = value.as_bytes().to_vec();
            value.resize(value.len().next_multiple_of(2), pad);
            put(&mut set, group, element, vr, &value);
        };
        text(0x0008, 0x0008, "CS", self.kind);
        text(0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.4");
        text(0x0008, 0x0018, "UI", &format!("{}.{}", self.series, self.uid));
        text(0x0008, 0x0020, "DA", "19990101");
        text(0x0008, 0x0060, "CS", "MR");
        text(0x0008, 0x0080, "LO", "GENERAL HOSPITAL");
        text(0x0010, 0x0010, "PN", PERSON);
        text(0x0010, 0x0020, "LO", "PID-0815");
        text(0x0018, 0x0050, "DS", "4");
        text(0x0018, 0x0080, "DS", "2000");
        text(0x0018, 0x0081, "DS", self.echo_ms);
        text(0x0020, 0x000e, "UI", self.series);
        text(0x0020, 0x0013, "IS", &self.number.to_string());
        text(0x0020, 0x0032, "DS", &join(&self.position));
        text(0x0020, 0x0037, "DS", &join(&self.orientation));
        if let Some(temporal) = self.temporal {
            text(0x0020, 0x0100, "IS", temporal);
        }
        let short =
            |set: &mut Vec<u8>, element, value: u16| put(set, 0x0028, element, "US", &value.to_le_bytes());
        short(&mut set, 0x0002, 1);
        put(
            &mut set,
            0x0028,
            0x0004,
            "CS",
            format!("{:<12}", self.photometric).as_bytes(),
        );
        if let Some(frames) = self.frames {
            put(&mut set, 0x0028, 0x0008, "IS", format!("{frames:<2}").as_bytes());
        }
        short(&mut set, 0x0010, self.rows);
        short(&mut set, 0x0011, 3);
        put(
            &mut set,
            0x0028,
            0x0030,
            "DS",
            format!("{:<8}", self.spacing).as_bytes(),
        );
        short(&mut set, 0x0100, 16);
        short(&mut set, 0x0101, self.bits_stored);
        short(&mut set, 0x0102, self.bits_stored - 1);
        short(&mut set, 0x0103, u16::from(self.signed));
        if let Some((slope, intercept)) = self.rescale {
            put(
                &mut set,
                0x0028,
                0x1052,
                "DS",
                format!("{intercept:<16}").as_bytes(),
            );
            put(&mut set, 0x0028, 0x1053, "DS", format!("{slope:<16}").as_bytes());
        }
        let pixels: Vec<u8> = self.pixels().iter().flat_map(|p| p.to_le_bytes()).collect();
        put(&mut set, 0x7fe0, 0x0010, "OW", &pixels);

        if !self.preamble {
            return set;
        }
        let mut meta = Vec::new();
        put(&mut meta, 0x0002, 0x0001, "OB", &[0, 1]);
        put(&mut meta, 0x0002, 0x0002, "UI", b"1.2.840.10008.5.1.4.1.1.4\0");
        put(&mut meta, 0x0002, 0x0003, "UI", b"1.2.3.4.56\0\0");
        put(&mut meta, 0x0002, 0x0010, "UI", b"1.2.840.10008.1.2.1\0");
        put(&mut meta, 0x0002, 0x0012, "UI", b"1.2.3.9\0");
        let mut file = vec![0; 128];
        file.extend(b"DICM");
        put(
            &mut file,
            0x0002,
            0x0000,
            "UL",
            &(meta.len() as u32).to_le_bytes(),
        );
        [file, meta, set].concat()
    }
}

pub fn put(out: &mut Vec<u8>, group: u16, element: u16, vr: &str, value: &[u8]) {
    out.extend(group.to_le_bytes());
    out.extend(element.to_le_bytes());
    out.extend(vr.as_bytes());
    if matches!(vr, "OB" | "OW") {
        out.extend([0, 0]);
        out.extend((value.len() as u32).to_le_bytes());
    } else {
        out.extend((value.len() as u16).to_le_bytes());
    }
    out.extend(value);
}

/// The images in a folder of their own.
pub fn folder(plans: &[Plan]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    // Names run against the order of the slices: only what is inside counts.
    for (i, plan) in plans.iter().enumerate() {
        let name = format!("IM{:03}", plans.len() - i);
        std::fs::write(folder.path().join(name), plan.bytes()).unwrap();
    }
    folder
}
