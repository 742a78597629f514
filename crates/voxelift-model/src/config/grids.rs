//! The grid of the degradations that training uses: that of the model, which alone it can learn.

use voxelift_volume::degrade::Grid;

use super::Config;
use crate::error::{ModelError, Result};

/// Which degradations a configuration gives a grid of their own: that of the LR scans, and of the tests each.
#[derive(Default)]
pub struct OwnGrids {
    simulated: bool,
    tests: Vec<bool>,
}

impl OwnGrids {
    pub fn of(table: &toml::Table) -> Self {
        let gives = |value: &toml::Value| value.get("scale").or_else(|| value.get("spacing_mm")).is_some();
        let data = table.get("data");
        let simulated = data.and_then(|data| data.get("lr")?.get("degrade"));
        let tests = data.and_then(|data| data.get("test_degrade")?.as_array());
        Self {
            simulated: simulated.is_some_and(gives),
            tests: tests.into_iter().flatten().map(gives).collect(),
        }
    }
}

impl Config {
    /// Gives the degradations of training the grid of the model, which alone it can learn.
    ///
    /// # Errors
    /// Where one that was `stated` is another.
    pub(super) fn on_its_own_grid(&mut self, stated: &OwnGrids) -> Result<()> {
        if self.network.placed {
            return Ok(());
        }
        let grid = Grid::Scale(self.scale.scale());
        let simulated = self.data.lr.degradation_mut().into_iter();
        let simulated = simulated.map(|one| ("data.lr.degrade", one, stated.simulated));
        let tests = self.data.test_degrade.iter_mut().enumerate();
        let tests = tests.map(|(at, one)| ("data.test_degrade", one, stated.tests.get(at) == Some(&true)));
        for (key, degradation, is_stated) in simulated.chain(tests) {
            if is_stated && degradation.grid != grid {
                let expected = format!(
                    "expected the scale of the model, {}: leave scale and spacing_mm out",
                    self.scale.scale()
                );
                return Err(ModelError::config(key, *degradation, expected));
            }
            degradation.grid = grid;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn degradations_of_training_have_the_models_grid_and_say_no_other() {
        let of = |tests: &str| {
            let text = format!(
                "scale = [2, 2, 1]\n[data]\nhr = [\"phantom:1\"]\nlr = {{ files = [\"phantom:2\"], degrade = {{ noise = 0.1 }} }}\n\
                 test_degrade = [{tests}]"
            );
            Config::from_text(&text, "a.toml", Path::new("."), &[]).map(|resolved| resolved.config)
        };
        let config = of("{ operator = \"box\" }, { operator = \"kspace\", scale = [2, 2, 1] }")
            .expect("a configuration");
        let grid = Grid::Scale(config.scale.scale());
        let grids = config
            .data
            .test_degrade
            .iter()
            .chain(config.data.lr.degradation());
        assert!(grids.clone().count() == 3 && grids.into_iter().all(|one| one.grid == grid));
        let again = Config::from_resolved(&config.to_toml(), Path::new("a.toml")).expect("its own text");
        assert_eq!(again.data.test_degrade, config.data.test_degrade);
        let refused =
            of("{ operator = \"box\" }, { operator = \"kspace\", scale = 2 }").expect_err("another scale");
        assert!(
            refused.to_string().contains("data.test_degrade = kspace"),
            "{refused}"
        );
    }
}
