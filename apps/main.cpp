// SPDX-License-Identifier: Apache-2.0
// The one place that catches, prints what went wrong, and turns it into an exit code.
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "apps/command_line.h"
#include "apps/commands.h"
#include "apps/terminal.h"
#include "kernels/base/error.h"

namespace {

using namespace hourglass;

struct Run {
  int operator()(const PrintText& answer) const {
    std::fputs(answer.text.c_str(), stdout);
    return std::fflush(stdout) == 0 ? 0 : static_cast<int>(Exit::kIo);
  }
  int operator()(const TrainOptions& options) const { return run_train(options); }
  int operator()(const EvalOptions& options) const { return run_eval(options); }
  int operator()(const SampleOptions& options) const { return run_sample(options); }
  int operator()(const ReconstructOptions& options) const { return run_reconstruct(options); }
  int operator()(const InterpolateOptions& options) const { return run_interpolate(options); }
  int operator()(const EmbedOptions& options) const { return run_embed(options); }
  int operator()(const EncodeOptions& options) const { return run_encode(options); }
  int operator()(const DecodeOptions& options) const { return run_decode(options); }
  int operator()(const RateDistortionOptions& options) const { return run_rate_distortion(options); }
  int operator()(const KMeansCommandOptions& options) const { return run_kmeans(options); }
  int operator()(const InfoOptions& options) const { return run_info(options); }
  int operator()(const DoctorOptions& options) const { return run_doctor(options); }
};

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit of its size is an error of the write
  try {
    return std::visit(Run{}, parse(argc, argv));
  } catch (const Error& error) {
    notice(error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    notice("out of memory");
    return static_cast<int>(Exit::kDevice);
  } catch (const std::exception& error) {
    notice(std::string("internal error, please report it with the output of hourglass doctor: ") + error.what());
    return static_cast<int>(Exit::kInternal);
  }
}
