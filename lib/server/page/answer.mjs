// An answer that is being written into a place: text, and before it the model's reasoning, folded once the text begins.

export function answerIn(place) {
  let thoughts;
  return {
    /** Adds what has come. */
    write({ text, thought }) {
      if (thought) {
        thoughts ??= fold(place);
        thoughts.lastChild.append(thought);
      }
      if (!text) return;
      if (thoughts) thoughts.open = false;
      place.append(text);
    },
  };
}

function fold(place) {
  const details = document.createElement('details');
  details.className = 'thoughts';
  details.open = true;
  const summary = document.createElement('summary');
  summary.textContent = 'Reasoning';
  details.append(summary, document.createElement('p'));
  place.append(details);
  return details;
}
