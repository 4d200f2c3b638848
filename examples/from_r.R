# Variational autoencoders from R: drawn digits in two latent dimensions, drawn flowers in colour.
#
#   Rscript examples/from_r.R [FOLDER] [--smoke]
#
# FOLDER, runs/from_r unless it is named, gets four figures, drawn by R, and two models. In the end
# another R loads them, and has to give the same reconstructions. RETICULATE_PYTHON names the Python
# that tfpvae is installed for; --smoke is a trial of few pictures.

library(reticulate)
Sys.setenv(TF_CPP_MIN_LOG_LEVEL = "3")
tfpvae <- import("tfpvae")
tf_keras <- import("tf_keras")

arguments <- commandArgs(trailingOnly = TRUE)
is_smoke <- "--smoke" %in% arguments
folder <- c(grep("^--", arguments, value = TRUE, invert = TRUE), "runs/from_r")[1]

# R draws the first row of a matrix at the top, as images [N, H, W, C] have it; grey ones have no
# third axis there.
as_raster <- function(image) {
  channels <- dim(image)[3]
  as.raster(if (channels == 1) image[, , 1] else image)
}

draw_rows <- function(file, ...) {
  rows <- list(...)
  shown <- dim(rows[[1]])[1]
  png(file, width = 80 * shown, height = 80 * length(rows))
  par(mar = rep(0, 4))
  plot.new()
  plot.window(c(0, shown), c(0, length(rows)), xaxs = "i", yaxs = "i")
  for (i in seq_along(rows)) {
    for (j in seq_len(shown)) {
      # R drops axes of length 1, grey's among them: [H, W, C] is given back.
      image <- array(rows[[i]][j, , , ], dim(rows[[i]])[-1])
      top <- length(rows) - i
      rasterImage(as_raster(image), j - 0.97, top + 0.03, j - 0.03, top + 0.97)
    }
  }
  invisible(dev.off())
}

draw_history <- function(file, losses) {
  png(file, width = 640, height = 400)
  par(mar = c(4, 4, 1, 1))
  epochs <- seq_along(losses$loss)
  nats <- range(0, losses$loss)
  plot(epochs, losses$loss, type = "l", ylim = nats, xlab = "epoch", ylab = "nats an image", lwd = 2)
  lines(epochs, losses$nll, col = "steelblue", lwd = 2)
  lines(epochs, losses$kl, col = "tomato", lwd = 2)
  legend("topright", c("loss", "nll", "kl"), col = c("black", "steelblue", "tomato"), lwd = 2, bty = "n")
  invisible(dev.off())
}

draw_plane <- function(file, latents, classes) {
  colours <- palette.colors(nlevels(classes), "Tableau 10")
  png(file, width = 640, height = 560)
  par(mar = c(4, 4, 1, 5), xpd = TRUE)
  plot(latents, col = colours[classes], pch = 19, cex = 0.6, xlab = "z[1]", ylab = "z[2]", asp = 1)
  legend("topright", levels(classes), col = colours, pch = 19, inset = c(-0.14, 0), bty = "n")
  invisible(dev.off())
}

# --- What R's arrays need: doubles in [0, 1], [N, H, W, C]; whole numbers with an L --------------

train <- function(pictures, epochs, batch_size, learning_rate, ...) {
  images <- pictures$images / 255 # R has them as whole numbers from 0 to 255
  shape <- dim(images)[-1] # whole numbers already, as dim() gives them
  tf_keras$utils$set_random_seed(0L)
  vae <- tfpvae$build_vae(..., image_shape = shape)
  vae$compile(tf_keras$optimizers$Adam(learning_rate))
  history <- vae$fit(images, batch_size = batch_size, epochs = epochs, verbose = 2L)
  list(vae = vae, images = images, losses = history$history)
}

check <- function(name) {
  vae <- tf_keras$models$load_model(file.path(folder, name))
  kept <- readRDS(file.path(folder, paste0(name, ".rds")))
  again <- vae$reconstruct(kept$images)$numpy()
  difference <- max(abs(again - kept$reconstructions))
  stopifnot(difference < 1e-5)
  cat(sprintf("%s: loaded in a new R, the reconstructions differ by %.1e at most\n", name, difference))
}

if ("--check" %in% arguments) {
  check("digits")
  check("flowers")
  quit(status = 0)
}

keep <- function(name, trained) {
  images <- trained$images[1:8, , , , drop = FALSE]
  reconstructions <- trained$vae$reconstruct(images)$numpy()
  trained$vae$save(file.path(folder, name))
  saveRDS(
    list(images = images, reconstructions = reconstructions),
    file.path(folder, paste0(name, ".rds"))
  )
  samples <- trained$vae$sample(8L, seed = 0L)$numpy()
  draw_rows(file.path(folder, paste0(name, ".png")), images, reconstructions, samples)
}

dir.create(folder, recursive = TRUE, showWarnings = FALSE)

drawn <- tfpvae$datasets$draw_digits(if (is_smoke) 100L else 4000L, seed = 0L)
digits <- train(
  drawn, if (is_smoke) 1L else 15L, 100L, 2e-3,
  architecture = "dense", latent_dim = 2L
)
# Classes count from 0 in Python and from 1 in R: a factor holds both.
classes <- factor(drawn$labels, levels = seq_along(drawn$class_names) - 1, labels = drawn$class_names)
posterior <- digits$vae$encoder(digits$images)
draw_plane(file.path(folder, "plane.png"), posterior$mean()$numpy(), classes)
draw_history(file.path(folder, "history.png"), digits$losses)
keep("digits", digits)

drawn <- tfpvae$datasets$draw_flowers(if (is_smoke) 20L else 600L, seed = 0L)
flowers <- train(drawn, if (is_smoke) 1L else 12L, 20L, 5e-4, architecture = "flowers")
keep("flowers", flowers)

script <- sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))
status <- system2(file.path(R.home("bin"), "Rscript"), shQuote(c(script, folder, "--check")))
cat("figures and models:", normalizePath(folder), "\n")
quit(status = status)
