// Sends the record in the text area to POST /predict and shows the response.
"use strict";

const $ = (name) => document.getElementById(`try-${name}`);

async function send() {
  const output = $("output");
  const key = $("key")?.value;
  $("send").disabled = true;
  $("status").textContent = "Sending …";
  try {
    const response = await fetch("/predict", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(key ? { "X-API-Key": key } : {}) },
      body: $("record").value,
    });
    const text = await response.text();
    $("status").textContent =
      `${response.status} ${response.statusText}, request ID ${response.headers.get("X-Request-ID")}`;
    output.firstChild.textContent = pretty(text);
    output.hidden = false;
  } catch (error) {
    $("status").textContent = `The service cannot be reached: ${error.message}`;
    output.hidden = true;
  } finally {
    $("send").disabled = false;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

document.getElementById("try").hidden = false;
$("send").addEventListener("click", send);
