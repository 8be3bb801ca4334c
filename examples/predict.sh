#!/bin/sh
# A client of the service with curl. Prints the JSON of the service; pipe it to jq to format it.
#
#     SERVICE=http://127.0.0.1:8080 API_KEY=… sh examples/predict.sh
#
# API_KEY is only needed if the service has API keys.
set -eu
service=${SERVICE:-http://127.0.0.1:8080}

# post PATH BODY: print the response. For an error response, print its problems and return 1.
# curl reads the key from stdin, because other users can read the arguments of a command.
post() {
  {
    printf 'header = "Content-Type: application/json"\n'
    # The service logs the request under this id.
    printf 'header = "X-Request-ID: example-%s"\n' "$$"
    [ -z "${API_KEY:-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$API_KEY"
  } | curl --silent --show-error --max-time 10 --config - --write-out '\n%{http_code}\n' \
    --data "$2" "$service$1" | {
    read -r response
    read -r status
    [ "$status" = 200 ] && printf '%s\n' "$response" && return
    # sed is available everywhere: first the message, then each problem by row and field.
    printf '%s\n' "$response" | sed -E 's/^\{"error":"([^"]*)".*/error: \1/' >&2
    printf '%s\n' "$response" | tr '{' '\n' |
      sed -nE 's/^"row":([0-9]+),"field":"([^"]*)","code":"[^"]*","message":"([^"]*)".*/invalid: row \1, \2: \3/p'
    return 1
  }
}

patient='{"age": 63, "sex": "male", "cp": "asymptomatic", "trestbps": 145, "chol": 233,
  "fbs": "yes", "restecg": "left ventricular hypertrophy", "thalach": 150, "exang": "no",
  "oldpeak": 2.3, "slope": "downsloping", "ca": 0, "thal": "fixed"}'
incomplete=$(printf '%s' "$patient" | sed 's/"ca": 0, "thal": "fixed"/"ca": null, "thal": null/')
invalid=$(printf '%s' "$patient" | sed 's/"age": 63/"age": 630/; s/"fixed"/"fixd"/')

echo "one:"
post /predict "$patient"
echo "many:"
post /predict "{\"instances\": [$patient, $incomplete]}"
echo "explained:"
post /explain "$patient" || echo "not explained"
echo "invalid:"
post /predict "[$patient, $invalid]" || echo "no predictions, because a record is invalid"
