//! Contrastive loss with inter- and intra-embedding terms.

use burn::tensor::{Bool, Tensor};

use crate::layers::{ordered_mean, unit_rows};

/// `J(u, v)` of GRACE (Zhu et al., arXiv 2006.04131, equations 1 and 2): row `i` of `u` belongs to row `i` of
/// `v`, every other row of either is a negative.
///
/// ```text
/// l(u_i, v_i) = -ln exp(cos(u_i,v_i)/t) / ( sum_k exp(cos(u_i,v_k)/t) + sum_{k != i} exp(cos(u_i,u_k)/t) )
/// J(u, v)     = 1/(2N) sum_i [ l(u_i,v_i) + l(v_i,u_i) ]
/// ```
///
/// `v` is the side that is aimed at: it gets no gradient unless `symmetric`. A single row gives 0.
///
/// # Shapes
///
/// Both `[N, K]` -> `[1]`.
///
/// # Panics
///
/// If the shapes differ.
pub fn contrastive(u: Tensor<2>, v: Tensor<2>, temperature: f64, symmetric: bool) -> Tensor<1> {
    assert!(
        u.dims() == v.dims(),
        "contrastive loss of {:?} and {:?}",
        u.dims(),
        v.dims()
    );
    let u = unit_rows(u);
    let v = unit_rows(if symmetric { v } else { v.detach() });
    let positive = (u.clone() * v.clone()).sum_dim(1) / temperature;
    let inter = u.clone().matmul(v.clone().transpose()) / temperature;
    let from_u = log_partition(inter.clone(), u, temperature);
    let from_v = log_partition(inter.transpose(), v, temperature);
    ordered_mean((from_u + from_v) * 0.5 - positive)
}

/// Logarithm of the denominator of `l`, one a row: `inter` and the row's cosines with the others of its own view.
fn log_partition(inter: Tensor<2>, own: Tensor<2>, temperature: f64) -> Tensor<2> {
    let n = own.dims()[0];
    let itself = Tensor::<2, Bool>::diag_mask([n, n], 0, &own.device()).bool_not();
    let intra = own.clone().matmul(own.transpose()) / temperature;
    let logits = Tensor::cat(vec![inter, intra.mask_fill(itself, f32::NEG_INFINITY)], 1);
    // The largest term leaves the exponential, so that no temperature can overflow it.
    let largest = logits.clone().detach().max_dim(1);
    (logits - largest.clone()).exp().sum_dim(1).log() + largest
}

/// Mean cosine of the positive pairs and of the inter-embedding negatives; both near 1 is a feature collapse.
///
/// The second is NaN for a single row.
pub fn mean_cosines(u: Tensor<2>, v: Tensor<2>) -> (f64, f64) {
    let n = u.dims()[0] as f64;
    let (u, v) = (unit_rows(u.detach()), unit_rows(v.detach()));
    let positive = f64::from((u.clone() * v.clone()).sum().into_scalar::<f32>());
    let all = f64::from(u.matmul(v.transpose()).sum().into_scalar::<f32>());
    (positive / n, (all - positive) / (n * (n - 1.0)))
}
