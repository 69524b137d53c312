// The picture and its result above each other, and the line between them.

const MOST_SHOWN = 16e6; // pixels of a canvas that phones take; larger pictures are shown smaller

export async function show(canvas, rgba, width, height) {
  const pixels = new ImageData(rgba, width, height);
  const share = Math.min(1, Math.sqrt(MOST_SHOWN / (width * height)));
  if (share < 1) {
    [canvas.width, canvas.height] = [Math.floor(width * share), Math.floor(height * share)];
    const small = await createImageBitmap(pixels, { resizeWidth: canvas.width, resizeHeight: canvas.height, resizeQuality: "high" });
    canvas.getContext("2d").drawImage(small, 0, 0);
    small.close();
  } else {
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}

export function showCut(pictures, slider) {
  pictures.style.setProperty("--cut", `${slider.value}%`);
  slider.setAttribute("aria-valuetext", `${100 - slider.value} % of the width shows the result`);
}

// One pixel of the picture for one of the screen.
export function showActual(stage, actual) {
  stage.classList.toggle("actual", actual);
  for (const canvas of stage.querySelectorAll("canvas"))
    canvas.style.width = actual ? `${canvas.width / devicePixelRatio}px` : "";
}
