// Search runs in a worker, which browsers refuse to pages opened from the disk. There a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => setTimeout(() => this.onmessage && this.onmessage({ data: structuredClone(data) }));
      const script = inside.document.createElement("script");
      this.ready = new Promise((loaded) => (script.onload = loaded));
      script.onerror = (event) => this.onerror && this.onerror(event);
      script.src = new URL(url, location.href).href;
      inside.document.head.append(script);
    }
    postMessage(data) {
      const copy = structuredClone(data); // as a worker gets it: what it does to its copy is not seen here
      this.ready.then(() => {
        const event = new MessageEvent("message", { data: copy });
        this.frame.contentWindow.dispatchEvent(event);
      });
    }
    terminate() {
      this.frame.remove();
    }
  };
}
