// The store in memory keeps the contract.
import { describe } from 'vitest';
import { storeContract } from './contract.js';
import { MemoryStore } from './memory.js';

describe('a store in memory', () => storeContract(async () => new MemoryStore()));
