// Facts of nature and of the kitchen: animals, food, seasons.

import type { Fact } from './facts.js';
import { listed } from './grammar.js';
import { type Animal, animals, type Food, type Season } from './world.js';

export function aboutAnimal(a: Animal): Fact[] {
  const subject = a.name;
  const out: Fact[] = [
    {
      subject,
      ask: [
        `What do ${a.plural} eat?`,
        `What does a ${a.name} eat?`,
        `What is the food of ${a.plural}?`,
        `What do you give a ${a.name} to eat?`,
      ],
      tell: `what ${a.plural} eat`,
      follow: 'what do they eat?',
      say: [`${a.plural} eat ${a.eats}.`, `${a.plural} like to eat ${a.eats}.`],
      keys: [a.eats],
    },
    {
      subject,
      ask: [`Where do ${a.plural} live?`, `Where does a ${a.name} live?`, `Where do ${a.plural} sleep?`],
      tell: `where ${a.plural} live`,
      follow: 'where do they live?',
      say: [`${a.plural} live ${a.home}.`, `A ${a.name} lives ${a.home}.`],
      keys: [a.home],
    },
    {
      subject,
      ask: [
        `What is a young ${a.name} called?`,
        `What is the baby of a ${a.name} called?`,
        `What do you call a baby ${a.name}?`,
      ],
      tell: `what a young ${a.name} is called`,
      follow: 'what are their babies called?',
      say: [`A young ${a.name} is called a ${a.baby}.`, `The baby of a ${a.name} is called a ${a.baby}.`],
      keys: [a.baby],
    },
    {
      subject,
      ask: [`How many legs does a ${a.name} have?`, `How many legs do ${a.plural} have?`],
      tell: `how many legs a ${a.name} has`,
      follow: 'how many legs do they have?',
      say: [`A ${a.name} has ${a.legs} legs.`],
      keys: [`${a.legs} legs`],
    },
    {
      subject,
      ask: [`What does a ${a.name} look like?`, `What do ${a.plural} look like?`, `Describe a ${a.name}.`],
      tell: `what a ${a.name} looks like`,
      follow: 'what do they look like?',
      say: [`A ${a.name} is ${a.looks}.`],
      keys: [a.looks],
    },
    {
      subject,
      ask: [`What can a ${a.name} do?`, `What can ${a.plural} do well?`],
      tell: `what ${a.plural} can do`,
      follow: 'what can they do?',
      say: [`${a.plural} can ${a.can}.`, `A ${a.name} can ${a.can}.`],
      keys: [a.can],
    },
    {
      subject,
      ask: [`Can a ${a.name} ${a.cannot}?`, `Can ${a.plural} ${a.cannot}?`],
      follow: `can they ${a.cannot}?`,
      say: [`No, ${a.plural} cannot ${a.cannot}, but they can ${a.can}.`],
      keys: ['No', a.can],
    },
    {
      subject,
      ask: [
        `Tell me about ${a.plural}.`,
        `Tell me something about ${a.plural}.`,
        `What do you know about ${a.plural}?`,
        `What is a ${a.name}?`,
      ],
      say: [
        `A ${a.name} is an animal. It is ${a.looks}. ${a.plural} live ${a.home}, and they eat ${a.eats}. They can ${a.can}.`,
        `${a.plural} live ${a.home}. They eat ${a.eats}, and they can ${a.can}. A young ${a.name} is called a ${a.baby}.`,
      ],
      keys: [a.home, a.eats, a.can],
    },
  ];
  const [first] = a.eats.replace(' from flowers', '').split(/, | and /) as [string];
  const other = strange(a);
  out.push(
    {
      subject,
      ask: [`Do ${a.plural} eat ${first}?`, `Does a ${a.name} eat ${first}?`],
      follow: `do they eat ${first}?`,
      say: [`Yes, ${a.plural} eat ${a.eats}.`],
      keys: ['Yes', first],
    },
    {
      subject,
      ask: [`Do ${a.plural} eat ${other}?`, `Does a ${a.name} eat ${other}?`],
      follow: `do they eat ${other}?`,
      say: [`No, ${a.plural} do not eat ${other}. They eat ${a.eats}.`],
      keys: ['No', a.eats],
    },
  );
  if (a.sound !== 'nothing') {
    const says = a.sound.startsWith('a ') ? `makes ${a.sound}` : `says ${a.sound}`;
    out.push({
      subject,
      ask: [`What sound does a ${a.name} make?`, `What does a ${a.name} say?`, `What noise do ${a.plural} make?`],
      tell: `what sound a ${a.name} makes`,
      follow: 'what sound do they make?',
      say: [`A ${a.name} ${says}.`, `The ${a.name} ${says}. That is easy to hear.`],
      keys: [a.sound],
    });
  }
  return out;
}

/** A food that this animal does not eat: the same one whenever it is asked. */
function strange(a: Animal): string {
  const foods = ['cheese', 'hay', 'fish', 'cake', 'bones', 'snow'];
  const at = animals.indexOf(a);
  const choice = [0, 1, 2, 3, 4, 5].map((step) => foods[(at + step) % foods.length] as string);
  return choice.find((food) => !a.eats.includes(food)) as string;
}

export function aboutFood(f: Food): Fact[] {
  const subject = f.name;
  return [
    {
      subject,
      ask: [`What is ${f.name} made of?`, `What do I need for ${f.name}?`, `What is in ${f.name}?`],
      tell: `what ${f.name} is made of`,
      follow: 'what is it made of?',
      say: [`${f.name} is made of ${f.made}.`, `For ${f.name} you need ${f.made}.`],
      keys: [f.made],
    },
    {
      subject,
      ask: [`Where can I buy ${f.name}?`, `Where do I get ${f.name}?`, `Who sells ${f.name}?`],
      tell: `where I can buy ${f.name}`,
      follow: 'where can I buy it?',
      say: [`You can buy ${f.name} in the ${f.shop}.`, `They sell ${f.name} in the ${f.shop}.`],
      keys: [f.shop],
    },
    {
      subject,
      ask: [`How much does ${f.name} cost?`, `What is the price of ${f.name}?`, `What does ${f.name} cost?`],
      tell: `how much ${f.name} costs`,
      follow: 'how much does it cost?',
      say: [`In the ${f.shop}, ${f.name} costs ${f.price}.`, `It costs ${f.price} in the ${f.shop}.`],
      keys: [f.price],
    },
    {
      subject,
      ask: [`How does ${f.name} taste?`, `What does ${f.name} taste like?`, `Is ${f.name} good?`],
      tell: `how ${f.name} tastes`,
      follow: 'how does it taste?',
      say: [`${f.name} tastes ${f.taste}.`, `It tastes ${f.taste}. Many people in Edelmatt like it.`],
      keys: [f.taste],
    },
  ];
}

export function aboutSeason(s: Season): Fact[] {
  const subject = s.name;
  const months = s.months.split(/, | and /);
  return [
    {
      subject,
      ask: [`What is the weather like in ${s.name}?`, `How is the weather in ${s.name}?`],
      tell: `how the weather is in ${s.name}`,
      follow: 'what is the weather like then?',
      say: [`In ${s.name} the weather is ${s.weather}.`, `In ${s.name} it is ${s.weather}.`],
      keys: [s.weather],
    },
    {
      subject,
      ask: [`What happens in ${s.name}?`, `Tell me about ${s.name}.`, `What do you know about ${s.name}?`],
      say: [`In ${s.name}, ${s.happens}. The weather is ${s.weather}. The children ${s.play}.`],
      keys: [s.happens],
    },
    {
      subject,
      ask: [`What should I wear in ${s.name}?`, `What do people wear in ${s.name}?`],
      tell: `what I should wear in ${s.name}`,
      follow: 'what should I wear then?',
      say: [`In ${s.name} you should wear ${s.wear}, because it is ${s.weather}.`, `Wear ${s.wear} in ${s.name}.`],
      keys: [s.wear],
    },
    {
      subject,
      ask: [`What can children do in ${s.name}?`, `What can I do in ${s.name}?`],
      tell: `what I can do in ${s.name}`,
      follow: 'what can I do then?',
      say: [`In ${s.name} you can ${s.play}.`],
      keys: [s.play],
    },
    {
      subject,
      ask: [`Which season comes after ${s.name}?`, `What comes after ${s.name}?`],
      follow: 'what comes next?',
      say: [`After ${s.name} comes ${s.next}.`],
      keys: [s.next],
    },
    {
      subject,
      ask: [`Which months are in ${s.name}?`, `Which are the months of ${s.name}?`],
      follow: 'which months are that?',
      say: [`The months of ${s.name} are ${listed(months)}.`],
      keys: months,
    },
  ];
}
