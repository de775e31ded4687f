export type DataType =
  | "float32" | "float16" | "int32" | "uint32" | "int64" | "uint64" | "int8" | "uint8" | "int4" | "uint4";

/** `never` where the compiler's library has no Float16Array. */
type Float16Data = typeof globalThis extends { Float16Array: { prototype: infer Data } } ? Data : never;

export type TensorData =
  | Float32Array | Float16Data | Int32Array | Uint32Array | BigInt64Array | BigUint64Array | Int8Array | Uint8Array
  /** The bits of float16, where there is no Float16Array. */
  | Uint16Array;

export interface Port {
  readonly name: string;
  /** The name in the source model, where it differs; `run` takes an input under both, and gives an output under `name`. */
  readonly original?: string;
  readonly dataType: DataType;
  /** Sizes, names of dimensions, or expressions of them. */
  readonly shape: readonly (number | string)[];
}

export interface Tensor<Data = TensorData> {
  readonly dataType: DataType;
  readonly shape: readonly number[];
  readonly data: Data;
}

/** An `MLContext`; other declarations of WebNN fit it. */
export interface Context {
  opSupportLimits(): object;
  dispatch(graph: any, inputs: any, outputs: any): void;
  createTensor(descriptor: any): Promise<any>;
  readTensor(tensor: any): Promise<ArrayBuffer>;
  writeTensor(tensor: any, data: any): void;
  destroy?(): void;
  readonly lost?: Promise<{ readonly message?: string }>;
}

export interface ContextOptions {
  powerPreference?: "default" | "high-performance" | "low-power";
  accelerated?: boolean;
}

/** A value for each named dimension of the model. */
export type Dimensions = Readonly<Record<DimensionName, number>>;

/** A compiled graph and its tensors. */
export interface Graph {
  readonly context: Context;
  readonly graph: object;
  readonly dimensions: Dimensions;
  readonly inputs: Readonly<Record<string, { dataType: DataType; shape: readonly number[] }>>;
  readonly outputs: Readonly<Record<OutputName, { dataType: DataType; shape: readonly number[] }>>;
  readonly inputTensors: Readonly<Record<string, object>>;
  readonly outputTensors: Readonly<Record<OutputName, object>>;
  destroy(): void;
}

export interface FetchOptions {
  signal?: AbortSignal;
  onProgress?: (loaded: number, total: number) => void;
}

export interface LoadOptions extends FetchOptions {
  dimensions?: Dimensions;
  context?: Context;
  contextOptions?: ContextOptions;
  weights?: string | URL | ArrayBuffer | Uint8Array;
}

export declare class UnsupportedError extends Error {
  readonly reasons: readonly string[];
}

export declare const model: {
  readonly name: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly dimensions: Readonly<Record<DimensionName, { readonly min: number; readonly max: number }>>;
  readonly weights: { readonly file: string | null; readonly byteLength: number; readonly sha256: string | null };
};

export declare function unsupported(context?: Context): string[];
export declare function createContext(options?: ContextOptions): Promise<Context>;
export declare function fetchWeights(url?: string | URL, options?: FetchOptions): Promise<ArrayBuffer>;
export declare function build(context: Context, weights: ArrayBuffer | Uint8Array, dimensions?: Dimensions): Promise<Graph>;
export declare function run(
  graph: Graph,
  inputs: { readonly [name in InputName]?: TensorData | readonly number[] | readonly bigint[] },
): Promise<Record<OutputName, Tensor>>;
export declare function load(options?: LoadOptions): Promise<Graph>;
