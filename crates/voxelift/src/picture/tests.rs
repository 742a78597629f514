use voxelift_volume::{Geometry, Volume};

use super::montage::{Column, HEAD, MARGIN, montage};
use super::section::{Plane, Section};
use super::*;

/// 3 x 2 x 2 voxels of 1 mm whose value spells their world position: 100 x + 10 y + z.
fn spelled(world_from_voxel: [[f64; 4]; 3], extent: [usize; 3]) -> Volume {
    let geometry = Geometry {
        extent,
        world_from_voxel,
    };
    let mut volume = Volume::filled(0.0, geometry.clone());
    for z in 0..extent[2] {
        for y in 0..extent[1] {
            for x in 0..extent[0] {
                let at = volume.index([x, y, z]);
                let [wx, wy, wz] = geometry.world([x, y, z].map(|v| v as f64));
                volume.data_mut()[at] = (100.0 * wx + 10.0 * wy + wz) as f32;
            }
        }
    }
    volume
}

const UPRIGHT: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]];

#[test]
fn planes_show_left_at_the_right_and_the_front_or_the_crown_at_the_top() {
    let volume = spelled(UPRIGHT, [3, 2, 2]);
    let show = |plane| Section::new(volume.geometry(), plane, [0.0, 0.0, 0.0]).of(&volume);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Axial), [
        321.0, 221.0, 121.0,
        311.0, 211.0, 111.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Coronal), [
        312.0, 212.0, 112.0,
        311.0, 211.0, 111.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Sagittal), [
        122.0, 112.0,
        121.0, 111.0,
    ]);
}

/// The letters of a plane's edges: left, right, top, bottom.
fn sides(geometry: &Geometry, plane: Plane) -> [String; 4] {
    Section::new(geometry, plane, [1.0; 3]).edges().letters
}

#[test]
fn the_edges_are_named_by_the_affine() {
    let upright = spelled(UPRIGHT, [3, 2, 2]);
    assert_eq!(sides(upright.geometry(), Plane::Axial), ["R", "L", "A", "P"]);
    assert_eq!(sides(upright.geometry(), Plane::Coronal), ["R", "L", "S", "I"]);
    assert_eq!(sides(upright.geometry(), Plane::Sagittal), ["A", "P", "S", "I"]);
    // Turned by 30 degrees about the foot-head axis: two letters where an axis leans.
    let (sin, cos) = 30f64.to_radians().sin_cos();
    let oblique = Geometry {
        extent: [9; 3],
        world_from_voxel: [[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
    };
    assert_eq!(sides(&oblique, Plane::Axial), ["RA", "LP", "AL", "PR"]);
    assert_eq!(sides(&oblique, Plane::Coronal), ["RA", "LP", "S", "I"]);
}

#[test]
fn a_flipped_axis_changes_the_label_of_the_same_voxel() {
    // One bright voxel at the low end of each axis in turn; the letter of the edge that it is nearest to.
    let letter_at = |geometry: &Geometry, voxel: [usize; 3], plane: Plane, across: bool| {
        let mut volume = Volume::filled(0.0, geometry.clone());
        let at = volume.index(voxel);
        volume.data_mut()[at] = 1.0;
        let section = Section::new(geometry, plane, voxel.map(|v| v as f64));
        let values = section.of(&volume);
        let bright = values.iter().position(|v| *v > 0.0).expect("it is on the plane");
        let (place, pixels, letters) = if across {
            (bright % section.width, section.width, [0, 1])
        } else {
            (bright / section.width, section.height, [2, 3])
        };
        section.edges().letters[letters[usize::from(place > pixels / 2)]].clone()
    };
    let views = [
        (0, Plane::Axial, true, ["L", "R"]),
        (0, Plane::Coronal, true, ["L", "R"]),
        (1, Plane::Axial, false, ["P", "A"]),
        (1, Plane::Sagittal, true, ["P", "A"]),
        (2, Plane::Coronal, false, ["I", "S"]),
        (2, Plane::Sagittal, false, ["I", "S"]),
    ];
    for (axis, plane, across, [upright, flipped]) in views {
        let mut geometry = Geometry::axis_aligned([7; 3], [1.0; 3]);
        let mut voxel = [3; 3];
        voxel[axis] = 0;
        assert_eq!(
            letter_at(&geometry, voxel, plane, across),
            upright,
            "{plane:?} {axis}"
        );
        geometry.world_from_voxel[axis][axis] = -1.0;
        assert_eq!(
            letter_at(&geometry, voxel, plane, across),
            flipped,
            "{plane:?} {axis}"
        );
    }
}

#[test]
fn storage_orientation_does_not_change_the_picture() {
    let upright = spelled(UPRIGHT, [3, 2, 2]);
    // Stored as (z reversed, x reversed, y): the same world positions.
    let turned = spelled(
        [[0.0, -1.0, 0.0, 3.0], [0.0, 0.0, 1.0, 1.0], [-1.0, 0.0, 0.0, 2.0]],
        [2, 3, 2],
    );
    for plane in Plane::ALL {
        let section = Section::new(upright.geometry(), plane, [1.0, 0.0, 1.0]);
        // The voxel of the turned grid at the same place in the world.
        let at = turned.geometry().voxel(upright.geometry().world([1.0, 0.0, 1.0]));
        let other = Section::new(turned.geometry(), plane, at);
        assert_eq!(section.of(&upright), other.of(&turned), "{plane:?}");
        assert_eq!(section.of(&upright), section.of(&turned), "{plane:?}");
    }
}

#[test]
fn a_coarse_volume_is_seen_in_blocks_at_its_place() {
    let fine = Geometry::axis_aligned([4, 2, 2], [1.0; 3]);
    let coarse = Volume::new(vec![1.0, 2.0], fine.with_extent([2, 1, 1]));
    let shown = Section::new(&fine, Plane::Axial, [0.0; 3]).of(&coarse);
    assert_eq!(shown, [2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0]);
}

#[test]
fn long_voxels_keep_their_proportions() {
    let geometry = Geometry::axis_aligned([4, 4, 2], [1.0, 1.0, 3.0]);
    let section = Section::new(&geometry, Plane::Coronal, [0.0; 3]);
    assert_eq!((section.width, section.height), (4, 6));
}

fn decoded(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
        .read_info()
        .expect("a PNG file");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a small picture")];
    let info = reader.next_frame(&mut pixels).expect("a whole picture");
    assert_eq!(
        (info.color_type, info.bit_depth),
        (png::ColorType::Grayscale, png::BitDepth::Eight)
    );
    (info.width as usize, info.height as usize, pixels)
}

#[test]
fn a_montage_holds_each_column_at_its_window() {
    let geometry = Geometry::axis_aligned([80; 3], [1.0; 3]);
    let dark = Volume::filled(1.0, geometry.clone());
    let bright = Volume::filled(2.0, geometry);
    let window = Window {
        black: 0.0,
        white: 2.0,
    };
    let column = |label, volume| Column {
        label,
        volume,
        window,
    };
    let columns = [column("half", &dark), column("full", &bright)];
    let (width, height, pixels) = decoded(&montage("", &columns, &[Plane::Axial]));
    let panel = 240;
    let head = MARGIN + HEAD;
    assert_eq!(
        (width, height),
        (MARGIN + 2 * (panel + MARGIN), head + panel + MARGIN)
    );
    let at = |column: usize, [x, y]: [usize; 2]| {
        pixels[(head + y) * width + MARGIN + column * (panel + MARGIN) + x]
    };
    assert_eq!([0, 1].map(|column| at(column, [120, 120])), [128, 255]);
    // A third of the 80 mm is 27: a bar of 20, on a black rim, at the lower left of the first column only.
    let long = (0..100).filter(|x| at(0, [*x, panel - 7]) == 235).count();
    assert_eq!(long, 60, "20 mm are 60 pixels");
    assert!((0..100).all(|x| at(1, [x, panel - 7]) == 255));
    // The letter at the middle of the left edge is light on dark.
    let letter: Vec<u8> = (0..18).map(|x| at(0, [x, panel / 2])).collect();
    assert!(letter.contains(&235) && letter.contains(&0), "{letter:?}");
}

#[test]
fn a_comparison_has_an_error_column_for_images_on_the_references_grid() {
    let hr = Geometry::axis_aligned([240, 20, 20], [1.0; 3]);
    let [reference, baseline, image] = [1.0, 0.9, 0.95].map(|value| Volume::filled(value, hr.clone()));
    let lr = Volume::filled(1.0, hr.with_extent([120, 10, 10]));
    let panel = 240 + MARGIN;
    let images = [("zero-fill", &baseline), ("SR", &image)];
    let (width, height, pixels) = decoded(&comparison("", &lr, &images, Some(&reference)));
    assert_eq!(width, MARGIN + 6 * panel, "LR, zero-fill, SR, HR, two errors");
    // The baseline's error is white, half of it is grey.
    // The last row but one of the coronal plane, above the sagittal one.
    let foot = height - 2 * MARGIN - 22;
    let error = |column: usize| pixels[foot * width + MARGIN + column * panel + 60];
    assert_eq!(error(4), 255);
    assert!(error(5).abs_diff(128) <= 1, "{}", error(5));
    let (width, _, _) = decoded(&comparison("", &lr, &[("SR", &image)], None));
    assert_eq!(width, MARGIN + 2 * panel, "no reference, no error");
}

#[test]
fn a_preview_of_a_head_is_large_enough_to_be_read() {
    let head = Volume::filled(1.0, Geometry::axis_aligned([81, 97, 81], [1.9; 3]));
    let lr = Volume::filled(1.0, head.geometry().with_extent([41, 49, 41]));
    let (width, height, _) = decoded(&comparison("Step 8.", &lr, &[("SR", &head)], Some(&head)));
    assert!(height >= 512 && width >= 900, "{width} x {height}");
}

#[test]
fn every_glyph_is_found() {
    for character in "AZaz09 .,-+/():;'|%=_".chars() {
        assert_ne!(
            font::glyph(character),
            [0b11111, 0, 0, 0, 0, 0, 0b11111],
            "{character}"
        );
    }
}
