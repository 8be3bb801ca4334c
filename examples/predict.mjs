// Ask the service from JavaScript: Node 18 or later, and browsers, need nothing besides.
//
//     SERVICE=http://127.0.0.1:8080 API_KEY=… node examples/predict.mjs
//
// API_KEY is needed only where the service has keys. A browser can import Service from this file,
// on a page that comes from the same address as the service; never put a key into a page.

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

// The service has refused a request. `code` is the kind of problem, such as invalid_records
// (docs/errors.md has them all); `problems` says what is wrong, by row and field.
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

  // One prediction a record, in the same order.
  async predict(records) {
    return (await this.post("/predict", { instances: records })).predictions;
  }

  // The same, each with an explanation.
  async explain(records) {
    return (await this.post("/explain", { instances: records })).predictions;
  }

  async post(path, content) {
    // Under this id the service's log says what happened to the request.
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
      throw new Error(`status ${response.status} from something in between`);
    }
    const answer = await response.json();
    if (!response.ok) throw new ServiceError(answer);
    return answer;
  }
}

async function main() {
  const service = new Service(process.env.SERVICE ?? "http://127.0.0.1:8080", process.env.API_KEY);

  const [one] = await service.predict([PATIENT]);
  console.log(`one: ${one.probability.toFixed(4)} ${one.label}`);

  const unknown = { ...PATIENT, ca: null, thal: null };
  const many = await service.predict([PATIENT, unknown]);
  for (const [row, answer] of many.entries()) {
    const without = answer.missing.length ? ` without ${answer.missing.join(", ")}` : "";
    console.log(`many: row ${row}: ${answer.probability.toFixed(4)} ${answer.label}${without}`);
  }

  try {
    const [answer] = await service.explain([PATIENT]);
    Object.entries(answer.explanation.contributions)
      .sort(([, one], [, other]) => Math.abs(other) - Math.abs(one))
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
    for (const { row, field, message, did_you_mean: meant } of error.problems) {
      console.log(`mend: row ${row}, ${field}: ${message}${meant ? `; ${meant}?` : ""}`);
    }
  }
}

// True under Node where this file is what was started; a browser has no process.
if (globalThis.process?.argv[1]?.endsWith("predict.mjs")) {
  main().catch((error) => {
    console.error(error instanceof ServiceError ? `refused: ${error.message}` : `no answer: ${error}`);
    process.exitCode = 1;
  });
}
