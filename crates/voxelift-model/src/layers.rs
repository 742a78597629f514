//! Floor 5 · Conv, VoxelShuffle, global mean on [N,C,Z,Y,X].
