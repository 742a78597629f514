//! Layer 0 · Channel attention on vectors of channel means: two small layers, and their gradients.

/// Weights of `a = sigmoid(up relu(down m))`, row-major `[out][in]`.
pub(crate) struct AttentionWeights<'a> {
    /// `[narrow][feats]` and `[narrow]`.
    pub down: (&'a [f32], &'a [f32]),
    /// `[feats][narrow]` and `[feats]`.
    pub up: (&'a [f32], &'a [f32]),
}

/// What the backward step reads; one row a sample.
pub(crate) struct Attention {
    pub mean: Vec<f32>,
    narrow: Vec<f32>,
    /// The factor of each channel.
    pub factor: Vec<f32>,
}

/// Gradients of the weights, and of the means.
pub(crate) struct AttentionGradients {
    pub mean: Vec<f32>,
    pub down: (Vec<f32>, Vec<f32>),
    pub up: (Vec<f32>, Vec<f32>),
}

impl Attention {
    pub fn forward(weights: &AttentionWeights, mean: Vec<f32>) -> Self {
        let mut narrow = affine(&mean, weights.down);
        narrow.iter_mut().for_each(|value| *value = value.max(0.0));
        let mut factor = affine(&narrow, weights.up);
        factor
            .iter_mut()
            .for_each(|value| *value = 1.0 / (1.0 + (-*value).exp()));
        Self { mean, narrow, factor }
    }

    /// From the gradient of the factors times the factors.
    pub fn backward(&self, weights: &AttentionWeights, mut gradient: Vec<f32>) -> AttentionGradients {
        for (gradient, factor) in gradient.iter_mut().zip(&self.factor) {
            *gradient *= 1.0 - factor;
        }
        let up = affine_weights(&self.narrow, &gradient, weights.up);
        let mut narrow = affine_input(&gradient, weights.up);
        for (gradient, value) in narrow.iter_mut().zip(&self.narrow) {
            *gradient = if *value > 0.0 { *gradient } else { 0.0 };
        }
        let down = affine_weights(&self.mean, &narrow, weights.down);
        AttentionGradients {
            mean: affine_input(&narrow, weights.down),
            down,
            up,
        }
    }
}

/// `w x + b` for each row of `x`.
fn affine(x: &[f32], (weight, bias): (&[f32], &[f32])) -> Vec<f32> {
    let inputs = weight.len() / bias.len();
    let rows = x.chunks_exact(inputs);
    rows.flat_map(|x| weight.chunks_exact(inputs).zip(bias).map(|(w, b)| b + dot(w, x)))
        .collect()
}

/// `w^T g` for each row of `g`.
fn affine_input(gradient: &[f32], (weight, bias): (&[f32], &[f32])) -> Vec<f32> {
    let inputs = weight.len() / bias.len();
    let rows = gradient.chunks_exact(bias.len());
    rows.flat_map(|row| {
        (0..inputs).map(move |i| {
            row.iter()
                .enumerate()
                .map(|(o, g)| g * weight[o * inputs + i])
                .sum::<f32>()
        })
    })
    .collect()
}

/// `sum g x^T` and `sum g` over the rows.
fn affine_weights(x: &[f32], gradient: &[f32], (weight, bias): (&[f32], &[f32])) -> (Vec<f32>, Vec<f32>) {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let (mut of_weight, mut of_bias) = (vec![0.0; weight.len()], vec![0.0; outputs]);
    for (gradient, x) in gradient.chunks_exact(outputs).zip(x.chunks_exact(inputs)) {
        for (output, g) in gradient.iter().enumerate() {
            of_bias[output] += g;
            let row = &mut of_weight[output * inputs..][..inputs];
            row.iter_mut().zip(x).for_each(|(sum, x)| *sum += g * x);
        }
    }
    (of_weight, of_bias)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
