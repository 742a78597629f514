//! The scores: golden numbers of reference implementations, and laws that hold whatever the image.

mod brain;
mod golden;
mod laws;
mod made;
mod speed;
