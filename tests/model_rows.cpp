// SPDX-License-Identifier: Apache-2.0
#include "tests/model_runs.h"

namespace hourglass::test {

const std::vector<ModelRow>& model_rows() {
  static const std::vector<ModelRow> rows = {
      // Fully connected autoencoders.
      {"linear-ae", "ae --hidden none --latent 32 --likelihood gaussian --lr 1e-3",
       "ae --hidden none --latent 3 --likelihood gaussian"},
      {"keras-fc", "--preset keras-fc", "ae --hidden none --latent 4 --code-activation relu"},
      {"ae2d", "--preset ae2d", nullptr},
      {"tied-ae", "ae --tied-weights --activation gelu",
       "ae --hidden 16,9 --latent 3 --tied-weights --activation gelu"},
      {"denoising-ae", "ae --corrupt salt-pepper:0.2 --sigma 0.5 --likelihood gaussian",
       "ae --hidden 16 --latent 3 --corrupt salt-pepper:0.2 --sigma 0.5 --likelihood gaussian"},
      // Fully connected VAEs: each likelihood, draws, optimizer and way of the data.
      {"vae", "--preset vae", "vae --hidden 24 --latent 3"},
      {"vae-2506.07687", "--preset vae-2506.07687",
       "vae --hidden 12,10 --latent 3 --activation tanh --binarize dynamic"},
      {"vae2d", "--preset vae2d", nullptr},
      {"vae-gaussian-learned", "vae --likelihood gaussian --sigma learned",
       "vae --hidden 16 --latent 3 --likelihood gaussian --sigma learned"},
      {"vae-gaussian-optimal", "vae --likelihood gaussian --sigma optimal",
       "vae --hidden 16 --latent 3 --likelihood gaussian --sigma optimal"},
      {"vae-logistic", "vae --likelihood logistic", "vae --hidden 16 --latent 3 --likelihood logistic"},
      {"vae-draws", "vae --mc-samples 5 --beta 2 --beta-warmup 100 --binarize static",
       "vae --hidden 16 --latent 3 --mc-samples 3 --beta 2 --beta-warmup 4 --binarize static"},
      {"vae-tied", "vae --tied-weights --activation softplus",
       "vae --hidden 16 --latent 3 --tied-weights --activation softplus"},
      {"vae-sgd", "vae --optimizer sgd --momentum 0.9 --lr 1e-4 --clip-norm 50",
       "vae --hidden 16 --latent 3 --optimizer sgd --momentum 0.9 --lr 1e-3 --clip-norm 5"},
      {"vae-adamw", "vae --optimizer adamw --weight-decay 0.01 --lr-schedule cosine --lr-warmup 20 --clip-value 0.5",
       "vae --hidden 16 --latent 3 --optimizer adamw --weight-decay 0.01 --lr-schedule cosine --lr-warmup 2"},
      {"vae-adadelta", "vae --optimizer adadelta --lr 1", "vae --hidden 16 --latent 3 --optimizer adadelta --lr 1"},
      {"vae-own-gemm", "vae --gemm own", nullptr},
      {"vae-streamed", "vae --data-memory 1M", "vae --hidden 16 --latent 3 --data-memory 256"},
      // Convolutions, with each kind of layer.
      {"conv-vae", "--preset conv-vae", "conv-vae --encoder 'conv 8 4 2; conv 12 4 2' --latent 3"},
      {"keras-conv", "--preset keras-conv",
       "conv-ae --encoder 'conv 6 3; max-pool 2; conv 4 3' --decoder 'conv 4 3; upsample 2; conv 1 3'"},
      {"keras-denoise", "--preset keras-denoise",
       "conv-ae --encoder 'conv 4 3; max-pool 2' --decoder 'conv 4 3; upsample 2; conv 1 3' --corrupt gaussian:0.5"},
      {"conv-norms",
       "conv-vae --encoder 'conv 32 4 2 batch-norm; conv 64 4 2 group-norm:8 leaky-relu; dense 128 batch-norm' "
       "--corrupt mask:0.25",
       "conv-vae --encoder 'conv 6 4 2 batch-norm; conv 4 3 2 group-norm:2; dense 12 batch-norm' "
       "--activation tanh --latent 3 --corrupt mask:0.25"},
      {"conv-layers",
       "conv-vae --encoder 'conv 16 3 tanh; avg-pool 2; conv 32 3 valid; residual 16; conv-transpose 16 4 2; max-pool "
       "2' "
       "--decoder 'conv-transpose 32 3 valid; upsample 2; residual 8; conv 1 3 none' --likelihood logistic",
       "conv-vae --encoder 'conv 4 3 tanh; avg-pool 2; conv 6 3 valid; residual 3; conv-transpose 4 4 2; max-pool 2' "
       "--decoder 'conv-transpose 6 3 valid; upsample 2; residual 3; conv 1 3 none' --likelihood logistic --latent 3"},
      // Codes: moving averages with restarts, and learned ones.
      {"vqvae", "--preset vqvae",
       "vqvae --encoder 'conv 4 4 2; residual 3' --codebook-size 8 --code-dim 3 --ema-decay 0.8 --restart-threshold 3"},
      {"vqvae-learned", "vqvae --no-ema --init uniform",
       "vqvae --encoder 'conv 4 4 2; residual 3' --codebook-size 8 --code-dim 3 --no-ema --init uniform"},
      {"vqvae-64", "--preset vqvae-64 --data shapes:64:500 --batch 16", nullptr},
      {"vqvae-sonnet", "--preset vqvae-sonnet --data shapes:32:2000 --channels 3", nullptr},
      {"vqvae-cifar10", "--preset vqvae-cifar10 --batch 16 --data shapes:32:2000 --channels 3", nullptr},
  };
  return rows;
}

}  // namespace hourglass::test
