//! Dropout's factors on the devices of CubeCL: the bits that [`DropoutMask`] has on a CPU, made where they are used.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use cubecl::{calculate_cube_count_elemwise, prelude::*};

use crate::mask::DropoutMask;
use crate::ops::Kernels;

/// Burn wraps this backend in one that fuses operations, which takes the factors for an operation like others.
impl Kernels for CubeBackend {
    fn dropout_factors(like: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        let like = into_contiguous(like);
        let (client, shape, dtype) = (like.client.clone(), like.meta.shape().clone(), like.dtype);
        let units = shape.num_elements();
        let output = empty_device_contiguous_dtype(client.clone(), like.device.clone(), shape, dtype);
        let dim = CubeDim::new(&client, units);
        let count = calculate_cube_count_elemwise(&client, units, dim);
        let key = mask.stream.key();
        factors::launch(
            &client,
            count,
            dim,
            output.clone().into_tensor_arg(),
            key as u32,
            (key >> 32) as u32,
            mask.threshold,
            mask.kept_value,
        );
        output
    }
}

/// One factor for each unit, from 16 bits of a word of SplitMix64. Numbers of 64 bits are two of 32 here: not every
/// device has them.
#[cube(launch)]
fn factors(output: &mut Tensor<f32>, key_low: u32, key_high: u32, threshold: u32, kept_value: f32) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let position = ABSOLUTE_POS as u32;
    let word = position / 4 + 1;
    // The counter times the golden gamma, 0x9e3779b97f4a7c15, added to the key.
    let added_low = word * 0x7f4a_7c15;
    let added_high = u32::mul_hi(word, 0x7f4a_7c15) + word * 0x9e37_79b9;
    let mut low = key_low + added_low;
    let mut high = key_high + added_high;
    if low < added_low {
        high += 1;
    }
    // SplitMix64's finalizer: 0xbf58476d1ce4e5b9 and 0x94d049bb133111eb.
    low ^= (low >> 30) | (high << 2);
    high ^= high >> 30;
    high = u32::mul_hi(low, 0x1ce4_e5b9) + low * 0xbf58_476d + high * 0x1ce4_e5b9;
    low *= 0x1ce4_e5b9;
    low ^= (low >> 27) | (high << 5);
    high ^= high >> 27;
    high = u32::mul_hi(low, 0x1331_11eb) + low * 0x94d0_49bb + high * 0x1331_11eb;
    low *= 0x1331_11eb;
    low ^= (low >> 31) | (high << 1);
    high ^= high >> 31;
    let half = select(position % 4 < 2, low, high);
    let drawn = (half >> ((position % 2) * 16)) & 0xffff;
    output[ABSOLUTE_POS] = select(drawn < threshold, kept_value, 0.0);
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use burn::tensor::{Device, DeviceKind, Tensor};
    use kiln_config::random::{Purpose, Stream};

    use super::*;

    /// On whatever wgpu finds, Mesa's driver for CPUs included.
    #[test]
    fn the_factors_have_the_bits_of_those_on_a_cpu() {
        for (shape, seed, keep) in [([1, 1], 0, 0.5), ([64, 512], 1, 0.8), ([33, 77], u64::MAX, 0.3)] {
            let mask = DropoutMask::new(Stream::new(seed, Purpose::Dropout, &[seed, 3]), keep, 1.25);
            let mut expected = vec![0.0; shape[0] * shape[1]];
            mask.fill(0, &mut expected);
            let device = Device::wgpu(DeviceKind::DefaultDevice);
            for device in [device.clone(), device.autodiff()] {
                let found = crate::dropout_factors(Tensor::zeros(shape, &device), mask.clone());
                let found = found.into_data().try_into_vec::<f32>().expect("32-bit floats");
                assert_eq!(found, expected, "{shape:?}");
            }
        }
    }
}
