//! Layer 6 · The networks: encoder, SR decoder, LR decoder, discriminators, projection heads.

mod discriminator;
mod encoder;
mod generator;
mod lr_decoder;
mod projection;
mod rcan;
mod sr_decoder;

pub use discriminator::{Discriminator, DiscriminatorConfig, Discriminators};
pub use encoder::Encoder;
pub use generator::{Generator, GeneratorConfig, NullSpace, PLACED_CHANNELS, PLACED_STEP};
pub use lr_decoder::LrDecoder;
pub use projection::{Embedding, ProjectionConfig, ProjectionHead, draw_positions};
pub use rcan::{ChannelAttention, Rcab, ResidualGroup};
pub use sr_decoder::SrDecoder;
