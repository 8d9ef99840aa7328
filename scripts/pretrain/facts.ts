// Questions about the village and their answers. A fact has one content: several ways to ask for it, several ways to
// say it, and the key words that every way of saying it holds.

import { general } from './knowledge.js';
import { aboutAnimal, aboutFood, aboutSeason } from './nature.js';
import {
  animals,
  at,
  foods,
  hour,
  outdoors,
  type Person,
  type Place,
  people,
  places,
  pronouns,
  seasons,
} from './world.js';

export interface Fact {
  /** Facts of one subject can follow each other in a conversation. */
  subject: string;
  /** Direct questions. */
  ask: readonly string[];
  /** The same as a subordinate clause, after "Can you tell me". */
  tell?: string;
  /** The same once the subject is known: "And what does it eat?" */
  follow?: string;
  say: readonly string[];
  keys: readonly string[];
}

const all: readonly Fact[] = [
  ...people.flatMap(aboutPerson),
  ...places.flatMap(aboutPlace),
  ...outdoors.flatMap(aboutOutdoors),
  ...animals.flatMap(aboutAnimal),
  ...foods.flatMap(aboutFood),
  ...seasons.flatMap(aboutSeason),
  ...general,
];

/** Every fact, in a fixed order. */
export function facts(): readonly Fact[] {
  return all;
}

function aboutPerson(p: Person): Fact[] {
  const { he, his, him } = pronouns[p.he];
  const subject = p.name;
  const work = at(p.place);
  const the = `the ${p.job}`;
  return [
    {
      subject,
      ask: [`Who is ${p.name}?`, `Do you know ${p.name}?`, `Who is this ${p.name}?`],
      tell: `who ${p.name} is`,
      say: [`${p.name} is ${the} of Edelmatt. ${he} ${p.does}.`, `${p.name} is our ${p.job}. ${he} ${p.does}.`],
      keys: [p.job, p.does],
    },
    {
      subject,
      ask: [`Who is ${the}?`, `What is the name of ${the}?`, `What is ${the} called?`],
      tell: `who ${the} is`,
      say: [`${the} of Edelmatt is called ${p.name}.`, `Our ${p.job} is called ${p.name}.`, `${the} is ${p.name}.`],
      keys: [p.job, p.name],
    },
    {
      subject,
      ask: [`What does ${p.name} do?`, `What is the job of ${p.name}?`, `What does ${the} do?`],
      tell: `what ${p.name} does`,
      follow: `what does ${he} do?`,
      say: [`${p.name} is ${the}. ${he} ${p.does}.`, `${p.name} ${p.does}.`],
      keys: [p.does],
    },
    {
      subject,
      ask: [
        `Where does ${p.name} work?`,
        `Where can I find ${p.name}?`,
        `Where is ${p.name}?`,
        `Where does ${the} work?`,
      ],
      tell: `where ${p.name} works`,
      follow: `where does ${he} work?`,
      say: [`${p.name} works ${work}.`, `You can find ${p.name} ${work}.`],
      keys: [work],
    },
    {
      subject,
      ask: [`What does ${p.name} like to eat?`, `What is the favourite food of ${p.name}?`],
      tell: `what ${p.name} likes to eat`,
      follow: `what does ${he} like to eat?`,
      say: [`${p.name} likes to eat ${p.food}.`, `${his} favourite food is ${p.food}.`],
      keys: [p.food],
    },
    {
      subject,
      ask: [`What pet does ${p.name} have?`, `Which animal lives with ${p.name}?`],
      tell: `which pet ${p.name} has`,
      follow: `which pet does ${he} have?`,
      say: [`${p.name} has ${p.pet}.`],
      keys: [p.pet],
    },
    {
      subject,
      ask: [
        `What does ${p.name} like to do?`,
        `What does ${p.name} do in the evening?`,
        `What is the hobby of ${p.name}?`,
      ],
      tell: `what ${p.name} likes to do`,
      follow: `what does ${he} do after work?`,
      say: [
        `After work, ${p.name} likes to ${p.hobby}.`,
        `In the evening, ${he} likes to ${p.hobby}. It makes ${him} happy.`,
      ],
      keys: [p.hobby],
    },
  ];
}

function aboutPlace(p: Place): Fact[] {
  const subject = p.name;
  const the = `the ${p.name}`;
  const inside = at(p.name);
  const worker = people.find((one) => one.place === p.name);
  const shut = p.shut === 'no day' ? 'every day' : p.shut;
  const closed = p.shut === 'no day' ? `${the} is open every day.` : `${the} is closed on ${p.shut}.`;
  const morning = `${p.opens} o'clock in the morning`;
  const evening = hour(p.closes);
  const open = p.shut === 'Wednesday' ? 'Friday' : 'Wednesday';
  return [
    {
      subject,
      ask: [`Where is ${the}?`, `How do I find ${the}?`, `I am looking for ${the}. Where is it?`],
      tell: `where ${the} is`,
      follow: 'where is it?',
      say: [`${the} is ${p.where}.`, `You can find ${the} ${p.where}. It has a ${p.colour} door.`],
      keys: [p.where],
    },
    {
      subject,
      ask: [
        `When does ${the} open?`,
        `At what time does ${the} open?`,
        `When is ${the} open?`,
        `What are the opening hours of ${the}?`,
      ],
      tell: `when ${the} opens`,
      follow: 'when does it open?',
      say: [`${the} opens at ${morning} and closes at ${evening}.`, `${the} is open from ${morning} to ${evening}.`],
      keys: [morning, evening],
    },
    {
      subject,
      ask: [`When does ${the} close?`, `How long is ${the} open?`],
      tell: `when ${the} closes`,
      follow: 'when does it close?',
      say: [`${the} closes at ${evening}.`, `It closes at ${evening}. Please come a little earlier.`],
      keys: [evening],
    },
    {
      subject,
      ask: [`On which day is ${the} closed?`, `When is ${the} closed?`, `Is ${the} open every day?`],
      tell: `when ${the} is closed`,
      follow: 'is it open every day?',
      say: p.shut === 'no day' ? [closed, `Yes, ${closed}`] : [closed, `${closed} On the other days it is open.`],
      keys: [shut],
    },
    ...(p.shut === 'no day'
      ? []
      : [
          {
            subject,
            ask: [`Is ${the} open on ${p.shut}?`, `Can I go to ${the} on ${p.shut}?`],
            say: [`No, ${closed}`],
            keys: ['No', p.shut],
          },
          {
            subject,
            ask: [`Is ${the} open on ${open}?`, `Can I go to ${the} on ${open}?`],
            say: [`Yes, ${the} is open on ${open}.`],
            keys: ['Yes', open],
          },
        ]),
    {
      subject,
      ask: [`What can I do ${inside}?`, `What can you do ${inside}?`, `Why do people go to ${the}?`],
      tell: `what I can do ${inside}`,
      follow: 'what can I do there?',
      say: [`${inside} you can ${p.there}.`, `You can ${p.there} there.`],
      keys: [p.there],
    },
    {
      subject,
      ask: [`What colour is the door of ${the}?`, `Which colour has the door of ${the}?`],
      follow: 'what colour is the door?',
      say: [`The door of ${the} is ${p.colour}.`],
      keys: [p.colour],
    },
    ...(worker
      ? [
          {
            subject,
            ask: [`Who works ${inside}?`, `Who is in charge of ${the}?`],
            tell: `who works ${inside}`,
            follow: 'who works there?',
            say: [
              `${worker.name} the ${worker.job} works ${inside}.`,
              `${worker.name} works there. ${worker.he} ${worker.does}.`,
            ],
            keys: [worker.name],
          },
        ]
      : []),
  ];
}

function aboutOutdoors(o: (typeof outdoors)[number]): Fact[] {
  const subject = o.name;
  const the = `the ${o.name}`;
  return [
    {
      subject,
      ask: [`Where is ${the}?`, `How do I find ${the}?`],
      tell: `where ${the} is`,
      follow: 'where is it?',
      say: [`${the} is ${o.where}.`, `You can find ${the} ${o.where}.`],
      keys: [o.where],
    },
    {
      subject,
      ask: [`What can I do at ${the}?`, `What can you do at ${the}?`, `Why do people go to ${the}?`],
      tell: `what I can do at ${the}`,
      follow: 'what can I do there?',
      say: [`At ${the} you can ${o.there}.`, `You can ${o.there} there.`],
      keys: [o.there],
    },
    {
      subject,
      ask: [`What is ${the} like?`, `Tell me about ${the}.`, `Describe ${the}.`],
      say: [`${the} of Edelmatt is ${o.like}. It lies ${o.where}. You can ${o.there} there.`],
      keys: [o.like],
    },
  ];
}
