//! AdamW on one flat tensor, its schedule, clipping and the average over steps.

use tch::{TchError, Tensor};

/// Keeps the quotient finite where no gradient came yet.
const EPSILON: f64 = 1e-8;

/// Learning rate over a run: a linear rise, then half a cosine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Highest rate.
    pub peak: f64,
    /// Steps of the rise.
    pub warm_up_steps: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Share of the peak at the end.
    pub final_share: f64,
}

impl Schedule {
    /// The rate of step `step`, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warm_up_steps {
            return self.peak * (step + 1) as f64 / self.warm_up_steps as f64;
        }
        let span = self.steps.saturating_sub(self.warm_up_steps).max(1) as f64;
        let done = ((step - self.warm_up_steps) as f64 / span).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.peak * (self.final_share + (1.0 - self.final_share) * cosine)
    }
}

/// Scales gradients that are far longer than the recent ones, so that one odd batch cannot undo the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunningClip {
    /// Running mean of the norms; 0 before the first step.
    pub mean_norm: f64,
    /// Longest norm let through, as a multiple of the mean.
    pub factor: f64,
}

impl RunningClip {
    /// Share of the newest norm in the mean.
    const PACE: f64 = 0.05;

    /// A clip that knows nothing yet.
    pub const fn new(factor: f64) -> Self {
        Self { mean_norm: 0.0, factor }
    }

    /// The number to multiply a gradient of this norm with.
    pub fn scale(&mut self, norm: f64) -> f64 {
        if self.mean_norm == 0.0 {
            self.mean_norm = norm;
        }
        let longest = self.factor * self.mean_norm;
        let kept = norm.min(longest);
        self.mean_norm += Self::PACE * (kept - self.mean_norm);
        if norm > longest { longest / norm } else { 1.0 }
    }
}

/// Adam with decoupled weight decay.
#[derive(Debug)]
pub struct AdamW {
    /// Mean of the gradients.
    pub first: Tensor,
    /// Mean of their squares.
    pub second: Tensor,
    /// Steps made.
    pub steps: u64,
    betas: (f64, f64),
    /// Decay per step and unit of learning rate, of each value.
    decay: Option<Tensor>,
    /// Factor on the learning rate of each value.
    pace: Option<Tensor>,
}

impl AdamW {
    /// An optimiser for values like `flat`. `decay` is the weight decay of each value.
    ///
    /// # Errors
    /// libtorch's.
    pub fn try_new(flat: &Tensor, betas: (f64, f64), decay: Option<Tensor>) -> Result<Self, TchError> {
        let zeros = || flat.f_detach()?.f_zeros_like();
        Ok(Self { first: zeros()?, second: zeros()?, steps: 0, betas, decay, pace: None })
    }

    /// Gives each value its own factor on the learning rate.
    #[must_use]
    pub fn with_pace(self, pace: Tensor) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// Moves `flat` against `gradient`.
    ///
    /// # Errors
    /// libtorch's.
    pub fn step(&mut self, flat: &Tensor, gradient: &Tensor, rate: f64) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        self.steps += 1;
        let (b1, b2) = self.betas;
        let exponent = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correct1, correct2) = (1.0 - b1.powi(exponent), 1.0 - b2.powi(exponent));
        let _ = self.first.f_lerp_(gradient, 1.0 - b1)?;
        let _ = self.second.f_lerp_(&gradient.f_square()?, 1.0 - b2)?;
        let mut scale = self.second.f_div_scalar(correct2)?;
        let _ = scale.f_sqrt_()?.f_add_scalar_(EPSILON)?;
        let mut change = self.first.f_div(&scale)?.f_mul_scalar(-rate / correct1)?;
        if let Some(pace) = &self.pace {
            change = change.f_mul(pace)?;
        }
        let mut flat = flat.shallow_clone();
        if let Some(decay) = &self.decay {
            let _ = flat.f_sub_(&decay.f_mul(&flat)?.f_mul_scalar(rate)?)?;
        }
        let _ = flat.f_add_(&change)?;
        Ok(())
    }
}

/// Slowly follows values; what is exported and scored.
#[derive(Debug)]
pub struct Average {
    /// The followed values.
    pub values: Tensor,
    pace: f64,
}

impl Average {
    /// Starts at `values`; `keep` is the share of the old mean kept at each step in the long run.
    ///
    /// # Errors
    /// libtorch's.
    pub fn try_new(values: &Tensor, keep: f64) -> Result<Self, TchError> {
        Ok(Self { values: values.f_detach()?.f_detach_copy()?, pace: 1.0 - keep })
    }

    /// Follows `values` after `steps` steps; faster at the start of a run.
    ///
    /// # Errors
    /// libtorch's.
    pub fn follow(&mut self, values: &Tensor, steps: u64) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        let pace = self.pace.max(10.0 / (10.0 + steps as f64));
        let _ = self.values.f_lerp_(&values.f_detach()?, pace)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_rises_then_falls_to_the_final_share() {
        let schedule = Schedule { peak: 1e-3, warm_up_steps: 10, steps: 110, final_share: 0.02 };
        assert!((schedule.rate(0) - 1e-4).abs() < 1e-12);
        assert!((schedule.rate(10) - 1e-3).abs() < 1e-12);
        assert!((schedule.rate(60) - 1e-3 * 0.51).abs() < 1e-9);
        assert!((schedule.rate(110) - 2e-5).abs() < 1e-12);
        assert!((schedule.rate(9999) - 2e-5).abs() < 1e-12);
    }

    #[test]
    fn clip_lets_usual_gradients_through_and_shortens_odd_ones() {
        let mut clip = RunningClip::new(2.0);
        for _ in 0..50 {
            assert_eq!(clip.scale(1.0), 1.0);
        }
        assert!((clip.scale(100.0) - 0.02).abs() < 1e-9);
        assert!(clip.mean_norm < 1.1);
    }

    #[test]
    fn adamw_finds_the_bottom_of_a_parabola() {
        let flat = Tensor::from_slice(&[3f32, -2.0]).set_requires_grad(true);
        let mut adam = AdamW::try_new(&flat, (0.9, 0.99), None).unwrap();
        for _ in 0..400 {
            let loss = (&flat - 1.0).square().sum(tch::Kind::Float);
            let gradient = Tensor::run_backward(&[&loss], &[&flat], false, false).remove(0);
            adam.step(&flat, &gradient, 0.05).unwrap();
        }
        let end = Vec::<f32>::try_from(flat.detach()).unwrap();
        assert!(end.iter().all(|x| (x - 1.0).abs() < 1e-2), "{end:?}");
    }
}
