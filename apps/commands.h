// SPDX-License-Identifier: Apache-2.0
// The commands of the program, one short file each in commands/. Each returns the exit code, or throws Error.
#pragma once

#include "apps/options.h"

namespace hourglass {

int run_train(const TrainOptions& options);
int run_eval(const EvalOptions& options);
int run_sample(const SampleOptions& options);
int run_reconstruct(const ReconstructOptions& options);
int run_interpolate(const InterpolateOptions& options);
int run_embed(const EmbedOptions& options);
int run_encode(const EncodeOptions& options);
int run_decode(const DecodeOptions& options);
int run_rate_distortion(const RateDistortionOptions& options);
int run_kmeans(const KMeansCommandOptions& options);
int run_info(const InfoOptions& options);
int run_doctor(const DoctorOptions& options);

}  // namespace hourglass
