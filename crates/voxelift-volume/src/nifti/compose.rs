//! [`Header`] -> bytes; what no field needs stays zero.

use super::encoder::Encoder;
use super::header::{Header, Version};
use super::layout::Record;
use super::qform::Qform;

/// Header, extension flag and extensions: all that stands before the voxels.
pub(super) fn header_bytes(header: &Header, encoder: &Encoder) -> Vec<u8> {
    let longest = header
        .extent
        .iter()
        .chain(&header.extra_extent)
        .max()
        .copied()
        .unwrap_or(1);
    let version = if longest > i16::MAX as usize {
        Version::Two
    } else {
        header.version
    };
    let mut record = Record::new(version);
    let layout = record.layout;
    record.bytes[layout.magic_at..layout.magic_at + layout.magic.len()].copy_from_slice(layout.magic);

    record.put_whole(layout.dim, 0, 3 + header.extra_extent.len() as i64);
    let counts = header
        .extent
        .iter()
        .chain(&header.extra_extent)
        .copied()
        .chain([1; 7]);
    for (axis, count) in counts.take(7).enumerate() {
        record.put_whole(layout.dim, 1 + axis, count as i64);
    }
    record.put_whole(layout.datatype, 0, encoder.datatype.code());
    record.put_whole(layout.bitpix, 0, 8 * encoder.datatype.bytes() as i64);
    record.put_float(layout.scl_slope, 0, encoder.slope);
    record.put_float(layout.scl_inter, 0, encoder.inter);

    let qform = header
        .qform
        .and_then(|coded| Some((coded.code, Qform::from_affine(&coded.affine)?)));
    let sizes = qform.map_or_else(|| header.geometry().spacing_mm(), |(_, qform)| qform.spacing_mm);
    record.put_float(layout.pixdim, 0, qform.map_or(1.0, |(_, qform)| qform.qfac));
    for (axis, size) in sizes.iter().chain(&header.extra_spacing).enumerate() {
        record.put_float(layout.pixdim, 1 + axis, *size);
    }
    if let Some((code, qform)) = qform {
        record.put_whole(layout.qform_code, 0, i64::from(code));
        for axis in 0..3 {
            record.put_float(layout.quatern, axis, qform.quatern[axis]);
            record.put_float(layout.qoffset, axis, qform.offset[axis]);
        }
    }
    if let Some(sform) = header.sform {
        record.put_whole(layout.sform_code, 0, i64::from(sform.code));
        for (place, value) in sform.affine.as_flattened().iter().enumerate() {
            record.put_float(layout.srow, place, *value);
        }
    }

    record.put_whole(layout.xyzt_units, 0, i64::from(header.xyzt_units));
    record.put_whole(layout.dim_info, 0, i64::from(header.dim_info));
    record.put_whole(layout.slice_start, 0, header.slices.start);
    record.put_whole(layout.slice_end, 0, header.slices.end);
    record.put_whole(layout.slice_code, 0, i64::from(header.slices.code));
    record.put_float(layout.slice_duration, 0, header.slices.duration);
    record.put_float(layout.toffset, 0, header.toffset);
    record.put_whole(layout.intent_code, 0, i64::from(header.intent.code));
    for (place, parameter) in header.intent.parameters.iter().enumerate() {
        record.put_float(layout.intent_p, place, *parameter);
    }
    record.put_text(layout.intent_name, 16, &header.intent.name);
    record.put_text(layout.descrip, 80, &header.descrip);
    record.put_text(layout.aux_file, 24, &header.aux_file);

    let mut tail = vec![u8::from(!header.extensions.is_empty()), 0, 0, 0];
    for extension in &header.extensions {
        let size = (extension.data.len() + 8).next_multiple_of(16);
        tail.extend((size as i32).to_le_bytes());
        tail.extend(extension.code.to_le_bytes());
        tail.extend(&extension.data);
        tail.resize(tail.len() + size - 8 - extension.data.len(), 0);
    }
    record.put_whole(layout.vox_offset, 0, (layout.size + tail.len()) as i64);
    let mut bytes = record.bytes;
    bytes.extend(tail);
    bytes
}
