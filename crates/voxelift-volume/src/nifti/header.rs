//! What a NIfTI header says beyond its voxels, and how resampling changes it.

use super::qform::Qform;
use crate::stored::Datatype;
use crate::volume::{Affine, Geometry, Turn, VoxelMap};

/// The version of a file's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// NIfTI-1, 348 bytes: axes up to 32767 voxels.
    One,
    /// NIfTI-2, 540 bytes.
    Two,
}

/// An affine with the code that says what its world is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CodedAffine {
    /// Positive; 1 scanner, 2 aligned to another file, 3 Talairach, 4 MNI, 5 another template.
    pub code: i32,
    /// World mm (RAS+) from voxel indices.
    pub affine: Affine,
}

impl CodedAffine {
    /// The largest distance between the places that two affines give to a grid's corners, in mm.
    pub fn farthest_mm(&self, other: &Self, extent: [usize; 3]) -> f64 {
        let place = |affine: Affine, voxel| {
            Geometry {
                extent,
                world_from_voxel: affine,
            }
            .world(voxel)
        };
        let distance = |corner: usize| {
            let voxel = std::array::from_fn(|a| (corner >> a & 1) as f64 * (extent[a] as f64 - 1.0));
            let (here, there) = (place(self.affine, voxel), place(other.affine, voxel));
            (0..3).map(|a| (here[a] - there[a]).powi(2)).sum::<f64>().sqrt()
        };
        (0..8).map(distance).fold(0.0, f64::max)
    }
}

/// The meaning of the voxel values, as the header says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Intent {
    /// `intent_code`; 0 for none, 1002 for labels.
    pub code: i32,
    /// `intent_p1..3`.
    pub parameters: [f64; 3],
    /// `intent_name`.
    pub name: String,
}

/// How the slices were acquired in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slices {
    /// `slice_start`: the first slice of the acquisition.
    pub start: i64,
    /// `slice_end`: the last one.
    pub end: i64,
    /// `slice_code`: their order.
    pub code: i32,
    /// `slice_duration`: the time one takes, in the header's unit of time.
    pub duration: f64,
}

impl Slices {
    /// The same acquisition where the slices are counted from the other end, if `backwards`.
    fn counted(&self, backwards: bool, count: usize) -> Self {
        if !backwards || *self == Self::default() {
            return self.clone();
        }
        let last = count as i64 - 1;
        Self {
            start: last - self.end,
            end: last - self.start,
            // Up and down: sequential 1 and 2, alternating 3 and 4, alternating from the second slice 5 and 6.
            code: match self.code {
                code @ (1 | 3 | 5) => code + 1,
                code @ (2 | 4 | 6) => code - 1,
                code => code,
            },
            duration: self.duration,
        }
    }
}

/// A header extension, carried as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The registered number of who wrote it.
    pub code: i32,
    /// Its content, with the padding it had.
    pub data: Vec<u8>,
}

impl Extension {
    /// Whether it repeats where the voxels are: AFNI's attributes, and the JSON of dcmstack.
    pub fn describes_the_grid(&self) -> bool {
        const AFNI: i32 = 4;
        let is_dcmmeta = || self.data.windows(8).any(|part| part == b"dcmmeta_");
        self.code == AFNI || is_dcmmeta()
    }

    /// Who wrote it, by its code.
    pub fn writer(&self) -> String {
        let name = match self.code {
            2 => "DICOM attributes",
            4 => "AFNI",
            6 => "comment",
            8 => "XCEDE",
            10 => "JIMDIMINFO",
            12 => "WORKFLOW_FWDS",
            14 => "FreeSurfer",
            16 => "pickled Python objects",
            32 => "CIFTI",
            44 => "MRS",
            code => return format!("code {code}"),
        };
        name.to_owned()
    }
}

/// All that is carried from a file to the files made from it.
///
/// Not carried: `cal_min`, `cal_max` (a display window of other values), the unused fields of the ANALYZE
/// days, and whatever stands behind the end of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The version of the file read, and the least to be written.
    pub version: Version,
    /// The voxel type of the file read.
    pub datatype: Datatype,
    /// `scl_slope`, `scl_inter` of the file read; `None` where its values are taken as stored.
    pub scaling: Option<(f64, f64)>,
    /// Voxel counts along x, y, z; 1 for an axis that the file does not have.
    pub extent: [usize; 3],
    /// Counts along the axes beyond the third, as many as the file has (at most four).
    pub extra_extent: Vec<usize>,
    /// `pixdim[1..=3]`, positive: the voxel sizes where neither affine is there.
    pub spacing_mm: [f64; 3],
    /// `pixdim[4..=7]`.
    pub extra_spacing: [f64; 4],
    /// The sform, where its code is positive.
    pub sform: Option<CodedAffine>,
    /// The qform, where its code is positive.
    pub qform: Option<CodedAffine>,
    /// `xyzt_units`: 2 for mm, plus 8 for seconds.
    pub xyzt_units: u8,
    /// `dim_info`: which axes are frequency, phase and slice encoding, two bits each.
    pub dim_info: u8,
    /// The slice timing.
    pub slices: Slices,
    /// `toffset`: the time of the first frame.
    pub toffset: f64,
    /// The meaning of the values.
    pub intent: Intent,
    /// `descrip`, up to 80 characters of Latin-1.
    pub descrip: String,
    /// `aux_file`, up to 24 characters of Latin-1.
    pub aux_file: String,
    /// The extensions, in their order.
    pub extensions: Vec<Extension>,
}

/// `intent_code` of label maps.
const LABELS: i32 = 1002;

impl Header {
    /// Whether the intent says that the voxels are labels.
    pub fn holds_labels(&self) -> bool {
        self.intent.code == LABELS
    }

    /// A header for a volume that comes from no file: sform and qform of code 1, float32, mm and seconds.
    /// A grid with shear gets the sform alone, since no qform can hold it.
    pub fn new(geometry: &Geometry) -> Self {
        let scanner = CodedAffine {
            code: 1,
            affine: geometry.world_from_voxel,
        };
        Self {
            version: Version::One,
            datatype: Datatype::Float32,
            scaling: None,
            extent: geometry.extent,
            extra_extent: Vec::new(),
            spacing_mm: geometry.spacing_mm(),
            extra_spacing: [0.0; 4],
            sform: Some(scanner),
            qform: Qform::from_affine(&geometry.world_from_voxel).map(|_| scanner),
            xyzt_units: 2 + 8,
            dim_info: 0,
            slices: Slices::default(),
            toffset: 0.0,
            intent: Intent::default(),
            descrip: String::new(),
            aux_file: String::new(),
            extensions: Vec::new(),
        }
    }

    /// How many volumes the file holds: 1 for three axes.
    pub fn frames(&self) -> usize {
        self.extra_extent.iter().product()
    }

    /// The grid of each frame: the sform where it has a code, else the qform where it has one, else the voxel
    /// sizes with x running to the left and the centre of the field of view at the origin.
    ///
    /// # Differs from the standard
    /// Without codes the standard puts voxel 0 at the origin and leaves the directions open. As nibabel,
    /// SPM and FSL we take the radiological directions, and as nibabel the centre, which alone stays where
    /// it is when resampling keeps the field of view.
    pub fn geometry(&self) -> Geometry {
        let centred = || {
            let size = [-self.spacing_mm[0], self.spacing_mm[1], self.spacing_mm[2]];
            let mut affine = [[0.0; 4]; 3];
            for axis in 0..3 {
                affine[axis][axis] = size[axis];
                affine[axis][3] = -size[axis] * (self.extent[axis] as f64 - 1.0) / 2.0;
            }
            affine
        };
        let world_from_voxel = self
            .sform
            .or(self.qform)
            .map_or_else(centred, |coded| coded.affine);
        Geometry {
            extent: self.extent,
            world_from_voxel,
        }
    }

    /// The header after resampling each frame to `extent` voxels, voxel `k` at this grid's index `map(k)`.
    ///
    /// Sform and qform move by the same map and keep their codes; the slice timing is dropped where the slice
    /// axis changed (any axis, where the header does not name it).
    pub fn resampled(&self, extent: [usize; 3], map: &VoxelMap) -> Self {
        let moved = |coded: CodedAffine| CodedAffine {
            affine: map.applied_to(&coded.affine),
            ..coded
        };
        let changed: [bool; 3] = std::array::from_fn(|axis| {
            extent[axis] != self.extent[axis] || map.scale[axis] != 1.0 || map.offset[axis] != 0.0
        });
        let slices_changed = match usize::from(self.dim_info >> 4 & 3) {
            0 => changed.contains(&true),
            axis => changed[axis - 1],
        };
        Self {
            extent,
            spacing_mm: std::array::from_fn(|axis| self.spacing_mm[axis] * map.scale[axis].abs()),
            sform: self.sform.map(moved),
            qform: self.qform.map(moved),
            slices: if slices_changed {
                Slices::default()
            } else {
                self.slices.clone()
            },
            extensions: if changed.contains(&true) {
                self.extensions_of_any_grid()
            } else {
                self.extensions.clone()
            },
            ..self.clone()
        }
    }

    /// Drops all that people and programs wrote in words: `descrip`, `aux_file`, `intent_name` and every extension.
    pub fn anonymise(&mut self) {
        self.descrip.clear();
        self.aux_file.clear();
        self.intent.name.clear();
        self.extensions.clear();
    }

    /// The extensions that stay true on another grid.
    pub fn extensions_of_any_grid(&self) -> Vec<Extension> {
        let any = self.extensions.iter().filter(|e| !e.describes_the_grid());
        any.cloned().collect()
    }

    /// The header of the grid `onto` of another file: frequency, phase and slice axes go where `onto` stores them; the timing of
    /// the slices stays where these are the same slices, turned round where they are counted the other way.
    pub fn moved_onto(&self, onto: &Header) -> Self {
        let (here, there) = (self.geometry(), onto.geometry());
        let turn = Turn::along(&here, &there);
        let turned = turn.geometry(&here);
        let to = |axis: usize| turn.from.iter().position(|from| *from == axis).unwrap_or(axis);
        let field = |shift: u8| match usize::from(self.dim_info >> shift & 3) {
            0 => 0,
            axis => (to(axis - 1) as u8 + 1) << shift,
        };
        let same_slices = |axis: usize| {
            let place = turned.voxel(there.world([0.0; 3]))[axis];
            let (ours, theirs) = (turned.spacing_mm()[axis], there.spacing_mm()[axis]);
            turned.extent[axis] == there.extent[axis] && (ours - theirs).abs() < 1e-3 && place.abs() < 0.01
        };
        let slices = match usize::from(self.dim_info >> 4 & 3) {
            0 if turned == there && turn.is_none() => self.slices.clone(),
            0 => Slices::default(),
            axis if same_slices(to(axis - 1)) => {
                let flipped = turn.flipped[to(axis - 1)];
                self.slices.counted(flipped, self.extent[axis - 1])
            }
            _ => Slices::default(),
        };
        let same = turned == there && turn.is_none();
        Self {
            extent: onto.extent,
            spacing_mm: onto.spacing_mm,
            sform: onto.sform,
            qform: onto.qform,
            dim_info: self.dim_info & 0xc0 | field(0) | field(2) | field(4),
            slices,
            extensions: if same {
                self.extensions.clone()
            } else {
                self.extensions_of_any_grid()
            },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let affine = [
            [-0.8, 0.6, 0.0, 40.0],
            [0.6, 0.8, 0.0, -30.0],
            [0.0, 0.0, 2.0, 5.0],
        ];
        let mut header = Header::new(&Geometry {
            extent: [10, 12, 8],
            world_from_voxel: affine,
        });
        header.qform = Some(CodedAffine { code: 1, affine });
        header.sform = Some(CodedAffine {
            code: 4,
            affine: affine.map(|r| [r[0], r[1], r[2], r[3] + 7.0]),
        });
        header.slices = Slices {
            start: 0,
            end: 7,
            code: 1,
            duration: 0.1,
        };
        header.dim_info = 3 << 4;
        header
    }

    #[test]
    fn both_affines_move_by_the_same_map_and_keep_their_codes() {
        let old = header();
        let extent = [20, 24, 8];
        let new = old.resampled(extent, &VoxelMap::field_of_view(old.extent, extent));
        let (s, q) = (new.sform.unwrap(), new.qform.unwrap());
        assert_eq!((s.code, q.code), (4, 1));
        for row in 0..3 {
            assert!((s.affine[row][3] - q.affine[row][3] - 7.0).abs() < 1e-12);
            assert_eq!(s.affine[row][..3], q.affine[row][..3]);
        }
        assert_eq!(new.geometry(), old.geometry().with_extent(extent));
        assert_eq!(new.spacing_mm, [0.5, 0.5, 2.0]);
        assert_eq!(new.geometry().spacing_mm(), [0.5, 0.5, 2.0]);
    }

    #[test]
    fn slice_timing_goes_with_its_axis() {
        let old = header();
        let in_plane = [20, 24, 8];
        let resampled = old.resampled(in_plane, &VoxelMap::field_of_view(old.extent, in_plane));
        assert_eq!(resampled.slices, old.slices);
        let through = [10, 12, 16];
        let map = VoxelMap::field_of_view(old.extent, through);
        assert_eq!(old.resampled(through, &map).slices, Slices::default());
        let unnamed = Header { dim_info: 0, ..old };
        assert_eq!(unnamed.resampled(in_plane, &map).slices, Slices::default());
    }

    #[test]
    fn axes_and_slice_timing_go_where_the_reference_stores_them() {
        let mut old = Header::new(&Geometry::axis_aligned([4, 5, 6], [1.0, 1.5, 2.0]));
        old.dim_info = 1 | 2 << 2 | 3 << 4;
        old.slices = Slices {
            start: 1,
            end: 5,
            code: 3,
            duration: 0.1,
        };
        let turn = |flipped| Turn {
            from: [2, 0, 1],
            flipped,
        };
        let moved = |flipped| old.moved_onto(&Header::new(&turn(flipped).geometry(&old.geometry())));
        let new = moved([false; 3]);
        // As nibabel's `as_reoriented`: frequency along y, phase along z, slices along x.
        assert_eq!(new.dim_info, 2 | 3 << 2 | 1 << 4);
        assert_eq!(new.slices, old.slices);
        let backwards = Slices {
            start: 0,
            end: 4,
            code: 4,
            duration: 0.1,
        };
        assert_eq!(moved([true, false, false]).slices, backwards);
        assert_eq!(moved([false, true, true]).slices, old.slices);
        let finer = old.geometry().with_extent([4, 5, 12]);
        assert_eq!(old.moved_onto(&Header::new(&finer)).slices, Slices::default());
    }

    #[test]
    fn extensions_that_repeat_the_grid_do_not_outlive_it() {
        let extension = |code, data: &[u8]| Extension {
            code,
            data: data.to_vec(),
        };
        let mut old = header();
        old.extensions = vec![
            extension(4, b"<AFNI_attributes>"),
            extension(6, b"a comment"),
            extension(0, b"{\"dcmmeta_shape\": [10, 12, 8]}"),
        ];
        let same = old.resampled(old.extent, &VoxelMap::IDENTITY);
        assert_eq!(same.extensions, old.extensions);
        let extent = [20, 24, 16];
        let new = old.resampled(extent, &VoxelMap::field_of_view(old.extent, extent));
        assert_eq!(new.extensions, [extension(6, b"a comment")]);
    }

    #[test]
    fn without_codes_the_field_of_view_is_centred_and_stays() {
        let old = Header {
            sform: None,
            qform: None,
            ..header()
        };
        let corner = old.geometry().world([-0.5; 3]);
        let extent = [20, 24, 24];
        let new = old.resampled(extent, &VoxelMap::field_of_view(old.extent, extent));
        let moved = new.geometry().world([-0.5; 3]);
        assert_eq!(corner, [5.0, -6.0, -8.0]);
        assert!((0..3).all(|a| (moved[a] - corner[a]).abs() < 1e-12), "{moved:?}");
    }
}
