// Sends the record that is written on the page to POST /predict, and shows the answer.
"use strict";

const $ = (name) => document.getElementById(`try-${name}`);

async function send() {
  const answer = $("answer");
  const key = $("key")?.value;
  $("send").disabled = true;
  $("status").textContent = "sending …";
  try {
    const response = await fetch("/predict", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(key ? { "X-API-Key": key } : {}) },
      body: $("record").value,
    });
    const text = await response.text();
    $("status").textContent =
      `${response.status} ${response.statusText}, request ${response.headers.get("X-Request-ID")}`;
    answer.firstChild.textContent = pretty(text);
    answer.hidden = false;
  } catch (error) {
    $("status").textContent = `the service cannot be reached: ${error.message}`;
    answer.hidden = true;
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
