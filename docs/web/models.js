// The bundled models, in the order of the page; what else is known of them is in their cards.
export const MODELS = {
  l0: "L0 gradient minimisation: flat regions, sharp edges. Every strength.",
  "l0-fast": "L0 by a smaller network, in less than half the time. Every strength.",
  wmf: "Weighted median, radius 10: textures go, edges stay. One strength.",
  "wmf-fast": "Weighted median by a smaller network, in half the time. One strength.",
  sd: "Static and dynamic guidance: the structure without the texture. One strength.",
  denoise: "Takes Gaussian noise away, as much as σ says.",
  enlarge2: "Twice as high and wide, and sharper than bicubic.",
  enlarge3: "Three times as high and wide, and sharper than bicubic.",
};
