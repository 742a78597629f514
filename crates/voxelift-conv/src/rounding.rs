//! Layer 3 · f32 to bf16: neighbours to pairs, and two rows to pairs.

use crate::half_lanes::Rounded;

/// # Safety
/// The instruction set of `V`; `count` values at `values`, half as many words at `to`; `count` a multiple of the lanes.
#[inline(always)]
pub(crate) unsafe fn round<V: Rounded>(values: *const f32, count: usize, to: *mut f32) {
    for at in (0..count).step_by(V::COUNT) {
        // SAFETY: the contract of this function.
        unsafe { V::load(values.add(at)).store_rounded(to.cast::<u16>().add(at)) }
    }
}

/// `to` may be `low`: what is written was read before.
///
/// # Safety
/// The instruction set of `V`; `count` values at `low` and `high`, and words at `to`.
#[inline(always)]
pub(crate) unsafe fn pair<V: Rounded>(low: *const f32, high: Option<*const f32>, count: usize, to: *mut f32) {
    for at in (0..count).step_by(V::COUNT) {
        let lanes = V::COUNT.min(count - at);
        // SAFETY: the contract of this function.
        unsafe {
            let below = V::load_first(low.add(at), lanes);
            let above = match high {
                Some(high) => V::load_first(high.add(at), lanes),
                None => V::splat(0.0),
            };
            below.paired(above).store_first(to.add(at), lanes);
        }
    }
}
