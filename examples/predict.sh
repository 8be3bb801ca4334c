#!/bin/sh
# Ask the service with curl. Prints the service's own JSON; jq would make it pretty.
#
#     SERVICE=http://127.0.0.1:8080 API_KEY=… sh examples/predict.sh
#
# API_KEY is needed only where the service has keys.
set -eu
service=${SERVICE:-http://127.0.0.1:8080}

# ask PATH BODY: the answer, or what was refused and why, with status 1.
# The key goes in by a file, because every user of the machine can read the arguments of a command.
ask() {
  {
    printf 'header = "Content-Type: application/json"\n'
    # Under this id the service's log says what happened to the request.
    printf 'header = "X-Request-ID: example-%s"\n' "$$"
    [ -z "${API_KEY:-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$API_KEY"
  } | curl --silent --show-error --max-time 10 --config - --write-out '\n%{http_code}\n' \
    --data "$2" "$service$1" | {
    read -r answer
    read -r status
    [ "$status" = 200 ] && printf '%s\n' "$answer" && return
    # Nothing but sed, so that it runs everywhere: the sentence, then every problem by row and field.
    printf '%s\n' "$answer" | sed -E 's/^\{"error":"([^"]*)".*/refused: \1/' >&2
    printf '%s\n' "$answer" | tr '{' '\n' |
      sed -nE 's/^"row":([0-9]+),"field":"([^"]*)","code":"[^"]*","message":"([^"]*)".*/mend: row \1, \2: \3/p'
    return 1
  }
}

patient='{"age": 63, "sex": "male", "cp": "asymptomatic", "trestbps": 145, "chol": 233,
  "fbs": "yes", "restecg": "left ventricular hypertrophy", "thalach": 150, "exang": "no",
  "oldpeak": 2.3, "slope": "downsloping", "ca": 0, "thal": "fixed"}'
unknown=$(printf '%s' "$patient" | sed 's/"ca": 0, "thal": "fixed"/"ca": null, "thal": null/')
wrong=$(printf '%s' "$patient" | sed 's/"age": 63/"age": 630/; s/"fixed"/"fixd"/')

echo "one:"
ask /predict "$patient"
echo "many:"
ask /predict "{\"instances\": [$patient, $unknown]}"
echo "explained:"
ask /explain "$patient" || echo "not explained"
echo "wrong:"
ask /predict "[$patient, $wrong]" || echo "nothing was predicted, because a record was wrong"
