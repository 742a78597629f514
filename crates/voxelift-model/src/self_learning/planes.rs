//! Parallel planes of a volume, one after the other, in an order of axes that suits the network.

use voxelift_volume::Volume;

/// Planes of `rows x columns`, columns fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    /// Planes, rows, columns.
    pub shape: [usize; 3],
    /// `[plane][row][column]`.
    pub data: Vec<f32>,
}

impl Planes {
    /// All 0.
    pub fn zeros(shape: [usize; 3]) -> Self {
        Self {
            shape,
            data: vec![0.0; shape.iter().product()],
        }
    }

    /// The planes of a volume: plane, row and column run along the axes `order`.
    pub fn of(volume: &Volume, order: [usize; 3]) -> Self {
        Self::some(volume, order, 0..volume.extent()[order[0]])
    }

    /// Some of them.
    pub fn some(volume: &Volume, order: [usize; 3], planes: std::ops::Range<usize>) -> Self {
        let (extent, stride) = (volume.extent(), strides(volume.extent()));
        let shape = [planes.len(), extent[order[1]], extent[order[2]]];
        let mut data = Vec::with_capacity(shape.iter().product());
        for plane in planes {
            for row in 0..shape[1] {
                let first = plane * stride[order[0]] + row * stride[order[1]];
                data.extend((0..shape[2]).map(|column| volume.data()[first + column * stride[order[2]]]));
            }
        }
        Self { shape, data }
    }

    /// One row.
    pub fn row(&self, plane: usize, row: usize) -> &[f32] {
        let [_, rows, columns] = self.shape;
        &self.data[(plane * rows + row) * columns..][..columns]
    }

    /// One row, to be changed.
    pub fn row_mut(&mut self, plane: usize, row: usize) -> &mut [f32] {
        let [_, rows, columns] = self.shape;
        &mut self.data[(plane * rows + row) * columns..][..columns]
    }

    /// Puts the planes into a volume, from plane `first` on.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn put(&self, volume: &mut Volume, order: [usize; 3], first: usize) {
        let (extent, stride) = (volume.extent(), strides(volume.extent()));
        let [planes, rows, columns] = self.shape;
        assert!(
            first + planes <= extent[order[0]] && rows == extent[order[1]] && columns == extent[order[2]],
            "planes {:?} do not fit {extent:?} along {order:?}",
            self.shape
        );
        let data = volume.data_mut();
        for plane in 0..planes {
            for row in 0..rows {
                let at = (first + plane) * stride[order[0]] + row * stride[order[1]];
                for (column, value) in self.row(plane, row).iter().enumerate() {
                    data[at + column * stride[order[2]]] = *value;
                }
            }
        }
    }
}

fn strides([x, y, _]: [usize; 3]) -> [usize; 3] {
    [1, x, x * y]
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxelift_volume::Geometry;

    #[test]
    fn planes_of_every_order_go_back_where_they_came_from() {
        let geometry = Geometry::axis_aligned([2, 3, 4], [1.0; 3]);
        let volume = Volume::new((0..24).map(|i| i as f32).collect(), geometry.clone());
        for order in [[0, 2, 1], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let planes = Planes::of(&volume, order);
            let mut voxel = [0; 3];
            voxel[order[0]] = 1;
            voxel[order[1]] = 2.min(volume.extent()[order[1]] - 1);
            assert_eq!(planes.row(1, voxel[order[1]])[0], volume.at(voxel), "{order:?}");
            let mut back = Volume::filled(-1.0, geometry.clone());
            planes.put(&mut back, order, 0);
            assert_eq!(back, volume, "{order:?}");
        }
    }
}
