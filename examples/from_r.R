# Variational autoencoders from R: drawn digits in two latent dimensions, drawn flowers in color.
#
#   Rscript examples/from_r.R [FOLDER] [--smoke]
#
# Writes four figures, drawn by R, and two models to FOLDER, by default runs/from_r. In the end another
# R loads the models, and has to give the same reconstructions. RETICULATE_PYTHON names the Python
# that tfpvae is installed for; --smoke is a run of seconds on few pictures.

library(reticulate)
tfpvae <- import("tfpvae")
tf_keras <- import("tf_keras")

arguments <- commandArgs(trailingOnly = TRUE)
is_smoke <- "--smoke" %in% arguments
folder <- c(grep("^--", arguments, value = TRUE, invert = TRUE), "runs/from_r")[1]

# --- Training on R's arrays: doubles in [0, 1], [N, H, W, C]; whole numbers with an L ------------

# `count` pictures to train on, and a tenth as many that the VAE never sees.
draw <- function(drawer, count) {
  drawn <- drawer(as.integer(count * 1.1), seed = 0L)
  images <- drawn$images / 255 # in R whole numbers from 0 to 255
  is_seen <- seq_len(dim(images)[1]) <= count
  list(
    seen = images[is_seen, , , , drop = FALSE],
    unseen = images[!is_seen, , , , drop = FALSE],
    # Labels count from 0 in Python and factors from 1 in R: a factor has the names instead.
    classes = factor(unlist(drawn$class_names)[drawn$labels + 1], unlist(drawn$class_names))
  )
}

# Each phase has epochs and a learning rate; `...` are arguments of build_vae.
phase <- function(epochs, rate, is_encoder_frozen = FALSE) {
  list(epochs = if (is_smoke) 1L else epochs, rate = rate, is_encoder_frozen = is_encoder_frozen)
}

train <- function(pictures, architecture, phases, batch_size, ...) {
  tf_keras$utils$set_random_seed(0L)
  vae <- tfpvae$build_vae(
    architecture,
    image_shape = dim(pictures$seen)[-1], # dim() gives whole numbers
    pixel_mean = apply(pictures$seen, 4, mean),
    ...
  )
  losses <- NULL
  for (phase in phases) {
    vae$encoder$trainable <- !phase$is_encoder_frozen
    vae$compile(tf_keras$optimizers$Adam(phase$rate))
    history <- vae$fit(
      pictures$seen,
      validation_data = pictures$unseen,
      batch_size = batch_size, epochs = phase$epochs, verbose = 2L
    )
    losses <- rbind(losses, as.data.frame(history$history)) # one row per epoch
  }
  list(vae = vae, losses = losses)
}

# --- Figures by R ---------------------------------------------------------------------------------

# R draws the first row of a matrix at the top, as images [N, H, W, C] have it. It drops axes of
# length 1, so that a gray image is a matrix already.
draw_rows <- function(file, ...) {
  rows <- list(...)
  shown <- dim(rows[[1]])[1]
  png(file, width = 100 + 90 * shown, height = 90 * length(rows))
  par(mar = rep(0, 4))
  plot.new()
  plot.window(c(-1.1, shown), c(0, length(rows)), xaxs = "i", yaxs = "i")
  for (i in seq_along(rows)) {
    bottom <- length(rows) - i
    text(-0.1, bottom + 0.5, names(rows)[i], adj = 1)
    for (j in seq_len(shown)) {
      image <- as.raster(rows[[i]][j, , , ])
      rasterImage(image, j - 0.97, bottom + 0.03, j - 0.03, bottom + 0.97)
    }
  }
  invisible(dev.off())
}

# One row per VAE with nll and kl, which have different scales; dashes for unseen pictures.
draw_history <- function(file, trained) {
  png(file, width = 800, height = 300 * length(trained))
  par(mfrow = c(length(trained), 2), mar = c(4, 4, 2, 1))
  for (name in names(trained)) {
    losses <- trained[[name]]$losses
    for (term in c("nll", "kl")) {
      lines <- cbind(losses[[term]], losses[[paste0("val_", term)]])
      matplot(
        lines,
        type = "o", pch = 20, lty = 1:2, col = c("steelblue", "tomato"), lwd = 2,
        xlab = "epoch", ylab = "nats per image", main = paste0(name, ": ", term)
      )
      if (term == "nll") {
        names <- c("seen", "unseen")
        legend("topright", names, lty = 1:2, col = c("steelblue", "tomato"), lwd = 2, bty = "n")
      }
    }
  }
  invisible(dev.off())
}

draw_plane <- function(file, latents, classes) {
  colors <- palette.colors(nlevels(classes), "Tableau 10")
  png(file, width = 640, height = 560)
  par(mar = c(4, 4, 1, 5), las = 1)
  plot(
    latents,
    col = colors[classes], pch = 19, cex = 0.6, asp = 1,
    xlab = expression(z[1]), ylab = expression(z[2])
  )
  legend("right", levels(classes), col = colors, pch = 19, inset = -0.13, bty = "n", xpd = TRUE)
  invisible(dev.off())
}

# --- Saving, and loading by another R --------------------------------------------------------------

keep <- function(name, vae, images) {
  reconstructions <- vae$reconstruct(images)$numpy()
  vae$save(file.path(folder, name))
  saveRDS(list(images, reconstructions), file.path(folder, paste0(name, ".rds")))
  draw_rows(
    file.path(folder, paste0(name, ".png")),
    unseen = images, reconstructed = reconstructions,
    sampled = vae$sample(dim(images)[1], seed = 0L)$numpy()
  )
}

check <- function(name) {
  vae <- tf_keras$models$load_model(file.path(folder, name))
  kept <- readRDS(file.path(folder, paste0(name, ".rds")))
  difference <- max(abs(vae$reconstruct(kept[[1]])$numpy() - kept[[2]]))
  cat(sprintf("%s: loaded by another R, reconstructions differ by %.1e at most\n", name, difference))
  stopifnot(difference < 1e-5)
}

if ("--check" %in% arguments) {
  check("digits")
  check("flowers")
  quit(status = 0)
}

dir.create(folder, recursive = TRUE, showWarnings = FALSE)

pictures <- draw(tfpvae$datasets$draw_digits, if (is_smoke) 80L else 4000L)
digits <- train(pictures, "dense", list(phase(20L, 2e-3)), 100L, latent_dim = 2L)
latents <- digits$vae$encode(pictures$seen)$numpy()
draw_plane(file.path(folder, "plane.png"), latents, pictures$classes[seq_len(nrow(latents))])
keep("digits", digits$vae, pictures$unseen[1:8, , , , drop = FALSE])

pictures <- draw(tfpvae$datasets$draw_flowers, if (is_smoke) 80L else 600L)
flowers <- train(
  pictures, "flowers",
  # The encoder starts at principal components, and the decoder trains alone at first.
  list(phase(3L, 5e-4, is_encoder_frozen = TRUE), phase(5L, 2e-4)),
  if (is_smoke) 40L else 8L,
  start_images = pictures$seen
)
keep("flowers", flowers$vae, pictures$unseen[1:8, , , , drop = FALSE])
draw_history(file.path(folder, "history.png"), list(digits = digits, flowers = flowers))

script <- sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))
status <- system2(file.path(R.home("bin"), "Rscript"), shQuote(c(script, folder, "--check")))
if (status == 0) cat("figures and models:", normalizePath(folder), "\n")
quit(status = status)
