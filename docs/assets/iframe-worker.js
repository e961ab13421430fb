// Browsers start no worker from a file. Where pages are read without a server, a hidden frame stands
// in for the worker of the search: it loads the same script, and messages go to and fro.
(() => {
  if (location.protocol !== "file:") return;

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      // The script of a worker speaks to whoever started it through these names.
      frame.srcdoc = `<script>
        self.importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done) => {
          const script = document.createElement("script");
          script.src = new URL(url, ${JSON.stringify(String(url))});
          script.onload = done;
          document.head.append(script);
        })));
        self.postMessage = (data) => parent.dispatchEvent(
          new MessageEvent("graphc:worker", { data }));
      </` + `script><script src=${JSON.stringify(String(url))}></` + "script>";
      frame.onload = () => {
        this.frame = frame;
        for (const data of this.waiting.splice(0)) this.postMessage(data);
      };
      window.addEventListener("graphc:worker", ({ data }) => {
        const message = new MessageEvent("message", { data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      });
      document.body.append(frame);
    }

    postMessage(data) {
      if (!this.frame) this.waiting.push(data);
      else this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame?.remove();
    }
  };
})();
