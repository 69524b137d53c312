// The picture and its result above each other, and the line between them.

const MOST_SHOWN = 16e6; // pixels of a canvas that phones take; larger pictures are shown smaller

export async function show(canvas, rgba, width, height) {
  const pixels = new ImageData(rgba, width, height);
  const share = Math.min(1, Math.sqrt(MOST_SHOWN / (width * height)));
  if (share < 1) {
    [canvas.width, canvas.height] = [Math.floor(width * share), Math.floor(height * share)];
    const size = { resizeWidth: canvas.width, resizeHeight: canvas.height, resizeQuality: "high" };
    const small = await createImageBitmap(pixels, size);
    canvas.getContext("2d").drawImage(small, 0, 0);
    small.close();
  } else {
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
  canvas.style.setProperty("--actual", `${canvas.width / devicePixelRatio}px`); // a pixel for one of the screen
}

export function showCut(pictures, slider) {
  pictures.style.setProperty("--cut", `${slider.value}%`);
  slider.setAttribute("aria-valuetext", `${100 - slider.value} % of the width shows the result`);
}

// Both beside each other, or the picture alone.
export function showCompared(stage, compared) {
  stage.classList.toggle("compared", compared);
  for (const part of stage.querySelectorAll("#after, .compare, .divider, .tag")) part.hidden = !compared;
}
