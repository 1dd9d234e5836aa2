// anywidget gives the module of a widget two seconds to load. A widget that took longer is shown, but no message of the
// kernel reaches it any more. That happens on a busy machine, and where a page brings many widgets at once.

/** Let a widget hear its kernel again where anywidget has given it up, and ask for what it has missed. */
export async function hear(model) {
  try {
    const own = await model.widget_manager.get_model(model.get("own_id"));
    const [handle, plain] = handlers(own);
    await handle.call(own, { content: { data: { method: "none" } } }).catch(() => {
      own.comm.on_msg((message) => plain.call(own, message));
      own.comm.send({ method: "request_state" }, own.callbacks());
    });
  } catch {
    // A page without a kernel, or a front end with another way to its kernel.
  }
}

/** What is done with a message: by anywidget, which waits for the module and fails if it was late, and by any widget. */
function handlers(own) {
  const found = [];
  for (let at = own; at; at = Object.getPrototypeOf(at))
    if (Object.hasOwn(at, "_handle_comm_msg")) found.push(at._handle_comm_msg);
  return found;
}
