//! The images and features that a step's terms look at.

use burn::module::Module;
use burn::tensor::Tensor;

use super::state::GeneratorSide;
use crate::batch::{TargetBatch, UnpairedBatch};
use crate::losses::Routing;
use crate::networks::{Encoder, LrDecoder};

/// The images and features of a step, each computed once, all in one graph.
pub(super) struct Views {
    /// `F_s = E(X_s)`.
    pub feat_source: Tensor<5>,
    /// `F_t = E(X_t)`.
    pub feat_target: Tensor<5>,
    /// `Y_ss = G_SR(F_s) + U(X_s)`.
    pub sr_source: Tensor<5>,
    /// `X_tt = G_t(F_t)`.
    pub lr_target_rec: Tensor<5>,
    /// `X_st = G_t(F_s)`.
    pub lr_styled: Tensor<5>,
    /// `F_st = E(X_st)`.
    pub feat_styled: Tensor<5>,
    /// `Y_sts = G_SR(F_st) + U(X_st)`.
    pub sr_styled: Tensor<5>,
}

impl Views {
    pub(super) fn new(networks: &GeneratorSide, batch: &UnpairedBatch, target: &TargetBatch) -> Self {
        let (generator, lr_decoder) = (&networks.generator, lr_decoder(networks));
        let feat_source = generator.encode(batch.lr_source.clone());
        let feat_target = generator.encode(target.lr_target.clone());
        let sr_source = generator.decode(feat_source.clone(), batch.lr_source.clone());
        let lr_target_rec = lr_decoder.forward(feat_target.clone(), target.lr_target.clone());
        let lr_styled = lr_decoder.forward(feat_source.clone(), batch.lr_source.clone());
        let feat_styled = generator.encode(lr_styled.clone());
        let sr_styled = generator.decode(feat_styled.clone(), lr_styled.clone());
        Self {
            feat_source,
            feat_target,
            sr_source,
            lr_target_rec,
            lr_styled,
            feat_styled,
            sr_styled,
        }
    }
}

fn lr_decoder(networks: &GeneratorSide) -> &LrDecoder {
    networks
        .lr_decoder
        .as_ref()
        .expect("the unpaired method has an LR decoder")
}

/// What the terms that move `G_t` alone look at. Routed: `G_t` on detached features, then `E` held constant, so that
/// `E` cannot erase content to please `D_t`. Joint: the live views.
pub(super) struct DecoderViews {
    /// `X_st` and `X_tt` with the routed gradient; made when first asked for.
    images: [Option<Tensor<5>>; 2],
    /// Their features.
    features: [Option<Tensor<5>>; 2],
    /// What `F_st` and `F_tt` are to equal: `F_s` and `F_t`.
    pub aim_source: Tensor<5>,
    pub aim_target: Tensor<5>,
    inputs: [Tensor<5>; 2],
    decoder: LrDecoder,
    encoder: Encoder,
}

impl DecoderViews {
    pub(super) fn new(
        networks: &GeneratorSide,
        views: &Views,
        batch: &UnpairedBatch,
        target: &TargetBatch,
        routing: Routing,
    ) -> Self {
        let inputs = [batch.lr_source.clone(), target.lr_target.clone()];
        let decoder = lr_decoder(networks).clone();
        match routing {
            Routing::Routed => Self {
                images: [None, None],
                features: [None, None],
                aim_source: views.feat_source.clone().detach(),
                aim_target: views.feat_target.clone().detach(),
                inputs,
                decoder,
                encoder: networks.generator.encoder.valid(),
            },
            Routing::Joint => Self {
                images: [Some(views.lr_styled.clone()), Some(views.lr_target_rec.clone())],
                features: [Some(views.feat_styled.clone()), None],
                aim_source: views.feat_source.clone(),
                aim_target: views.feat_target.clone(),
                inputs,
                decoder,
                encoder: networks.generator.encoder.clone(),
            },
        }
    }

    pub(super) fn styled(&mut self) -> Tensor<5> {
        let Self {
            images,
            aim_source,
            inputs,
            decoder,
            ..
        } = self;
        images[0]
            .get_or_insert_with(|| decoder.forward(aim_source.clone(), inputs[0].clone()))
            .clone()
    }

    pub(super) fn target_rec(&mut self) -> Tensor<5> {
        let Self {
            images,
            aim_target,
            inputs,
            decoder,
            ..
        } = self;
        images[1]
            .get_or_insert_with(|| decoder.forward(aim_target.clone(), inputs[1].clone()))
            .clone()
    }

    /// `F_st`.
    pub(super) fn feat_styled(&mut self) -> Tensor<5> {
        let image = self.styled();
        let encoder = &self.encoder;
        self.features[0]
            .get_or_insert_with(|| encoder.forward(image))
            .clone()
    }

    /// `F_tt`.
    pub(super) fn feat_target_rec(&mut self) -> Tensor<5> {
        let image = self.target_rec();
        let encoder = &self.encoder;
        self.features[1]
            .get_or_insert_with(|| encoder.forward(image))
            .clone()
    }
}
