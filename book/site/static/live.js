// Makes questions and labs live on a page that has no kernel.
//
// Each element with data-memsim-live holds a stored output, and in the attribute what its widget is given: the name of
// the widget and its state. Where scripts do not run, the stored output stays.

"use strict";

/** What a widget sees in place of a kernel: values that are set here are told to whoever listens here. */
class Model {
  constructor(state) {
    this.state = state;
    this.listeners = new Map();
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    this.state[name] = value;
    for (const heard of this.listeners.get(`change:${name}`) || []) heard();
  }
  on(names, heard) {
    for (const name of names.split(" ")) this.listeners.set(name, [...(this.listeners.get(name) || []), heard]);
  }
  off(names, heard) {
    for (const name of names.split(" ")) {
      this.listeners.set(
        name,
        (this.listeners.get(name) || []).filter((each) => each !== heard),
      );
    }
  }
  save_changes() {}
}

document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("[data-memsim-live]")) {
    const { widget, state } = JSON.parse(box.dataset.memsimLive);
    const el = document.createElement("div");
    memsimWidgets[widget].render({ model: new Model(state), el });
    box.replaceChildren(el);
  }
});
