// A client of the service in JavaScript, for Node 18 or later and browsers, without dependencies.
//
//     SERVICE=http://127.0.0.1:8080 API_KEY=… node examples/predict.mjs
//
// API_KEY is only needed if the service has API keys. A page from the same origin as the service
// can import Service from this file. Never put an API key into a page.

const PATIENT = {
  age: 63,
  sex: "male",
  cp: "asymptomatic",
  trestbps: 145,
  chol: 233,
  fbs: "yes",
  restecg: "left ventricular hypertrophy",
  thalach: 150,
  exang: "no",
  oldpeak: 2.3,
  slope: "downsloping",
  ca: 0,
  thal: "fixed",
};

// An error response of the service. `code` is the error code, such as invalid_records
// (docs/errors.md lists all codes); `problems` lists the problems of the records by row and field.
export class ServiceError extends Error {
  constructor(content) {
    super(content.error);
    this.code = content.type.split("/").at(-1);
    this.problems = content.errors ?? [];
  }
}

export class Service {
  constructor(address, apiKey = "") {
    this.address = address.replace(/\/$/, "");
    this.apiKey = apiKey;
  }

  // Returns one prediction per record, in the same order.
  async predict(records) {
    return (await this.post("/predict", { instances: records })).predictions;
  }

  // Returns one prediction per record, each with an explanation.
  async explain(records) {
    return (await this.post("/explain", { instances: records })).predictions;
  }

  async post(path, content) {
    // The service logs the request under this id.
    const headers = {
      "Content-Type": "application/json",
      "X-Request-ID": `example-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`,
    };
    if (this.apiKey) headers.Authorization = `Bearer ${this.apiKey}`;
    const response = await fetch(this.address + path, {
      method: "POST",
      headers,
      body: JSON.stringify(content),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.headers.get("Content-Type")?.includes("json")) {
      throw new Error(`status ${response.status} from a proxy, not from the service`);
    }
    const result = await response.json();
    if (!response.ok) throw new ServiceError(result);
    return result;
  }
}

async function main() {
  const service = new Service(process.env.SERVICE ?? "http://127.0.0.1:8080", process.env.API_KEY);

  const [prediction] = await service.predict([PATIENT]);
  console.log(`one: ${prediction.probability.toFixed(4)} ${prediction.label}`);

  const incomplete = { ...PATIENT, ca: null, thal: null };
  const predictions = await service.predict([PATIENT, incomplete]);
  for (const [row, { probability, label, missing }] of predictions.entries()) {
    const suffix = missing.length ? `, missing ${missing.join(", ")}` : "";
    console.log(`many: row ${row}: ${probability.toFixed(4)} ${label}${suffix}`);
  }

  try {
    const [{ explanation }] = await service.explain([PATIENT]);
    Object.entries(explanation.contributions)
      .sort(([, a], [, b]) => Math.abs(b) - Math.abs(a))
      .slice(0, 3)
      .forEach(([name, logOdds]) => {
        console.log(`explained: ${name} ${logOdds < 0 ? "" : "+"}${logOdds.toFixed(2)}`);
      });
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    console.log(`not explained: ${error.message}`); // not_explainable, forbidden
  }

  try {
    await service.predict([PATIENT, { ...PATIENT, age: 630, thal: "fixd" }]);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    for (const { row, field, message, did_you_mean: suggestion } of error.problems) {
      const hint = suggestion ? `; ${suggestion}?` : "";
      console.log(`invalid: row ${row}, ${field}: ${message}${hint}`);
    }
  }
}

// True if Node runs this file as a script; a browser has no process.
if (globalThis.process?.argv[1]?.endsWith("predict.mjs")) {
  main().catch((error) => {
    const kind = error instanceof ServiceError ? "error" : "no response";
    console.error(`${kind}: ${error.message}`);
    process.exitCode = 1;
  });
}
