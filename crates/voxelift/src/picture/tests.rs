use voxelift_volume::{Geometry, Volume};

use super::section::Section;
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
fn planes_show_left_at_the_left_and_the_front_or_the_crown_at_the_top() {
    let volume = spelled(UPRIGHT, [3, 2, 2]);
    let show = |plane| Section::new(volume.geometry(), plane, [0.0, 0.0, 0.0]).of(&volume);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Axial), [
        121.0, 221.0, 321.0,
        111.0, 211.0, 311.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Coronal), [
        112.0, 212.0, 312.0,
        111.0, 211.0, 311.0,
    ]);
    #[rustfmt::skip]
    assert_eq!(show(Plane::Sagittal), [
        112.0, 122.0,
        111.0, 121.0,
    ]);
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
    assert_eq!(shown, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]);
}

#[test]
fn long_voxels_keep_their_proportions() {
    let geometry = Geometry::axis_aligned([4, 4, 2], [1.0, 1.0, 3.0]);
    let section = Section::new(&geometry, Plane::Coronal, [0.0; 3]);
    assert_eq!((section.width, section.height), (4, 6));
}

#[test]
fn a_window_maps_black_and_white_and_clips() {
    let window = Window {
        black: 1.0,
        white: 3.0,
    };
    assert_eq!(
        [0.0, 1.0, 2.0, 3.0, 9.0].map(|v| window.grey(v)),
        [0, 0, 128, 255, 255]
    );
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
    let (width, height, pixels) = decoded(&montage(&columns, &[Plane::Axial]));
    assert_eq!(
        (width, height),
        (MARGIN + 2 * (160 + MARGIN), LABEL + 160 + MARGIN)
    );
    let centre = |column: usize| pixels[(LABEL + 80) * width + MARGIN + column * (160 + MARGIN) + 80];
    assert_eq!([centre(0), centre(1)], [128, 255]);
}

#[test]
fn a_comparison_has_an_error_column_for_images_on_the_references_grid() {
    let hr = Geometry::axis_aligned([160, 4, 4], [1.0; 3]);
    let [reference, floor, image] = [1.0, 0.9, 0.95].map(|value| Volume::filled(value, hr.clone()));
    let lr = Volume::filled(1.0, hr.with_extent([80, 2, 2]));
    let panel = 160 + MARGIN;
    let images = [("zero-fill", &floor), ("SR", &image)];
    let (width, _, pixels) = decoded(&comparison(&lr, &images, Some(&reference)));
    assert_eq!(width, MARGIN + 6 * panel, "LR, zero-fill, SR, HR, two errors");
    // The floor's error is white, half of it is grey.
    let error = |column: usize| pixels[(LABEL + 1) * width + MARGIN + column * panel + 80];
    assert_eq!(error(4), 255);
    assert!(error(5).abs_diff(128) <= 1, "{}", error(5));
    let (width, _, _) = decoded(&comparison(&lr, &[("SR", &image)], None));
    assert_eq!(width, MARGIN + 2 * panel, "no reference, no error");
}

#[test]
fn every_glyph_is_found() {
    for character in "AZaz09 .,-+/():|%=_".chars() {
        assert_ne!(
            font::glyph(character),
            [0b11111, 0, 0, 0, 0, 0, 0b11111],
            "{character}"
        );
    }
}
