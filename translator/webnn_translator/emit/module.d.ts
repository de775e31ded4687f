/** `never` where the compiler's library has no Float16Array. */
type Float16Data = typeof globalThis extends { Float16Array: { prototype: infer Data } } ? Data : never;

/** What holds the values of each type. */
export interface Arrays {
  float32: Float32Array;
  /** The bits of float16, where there is no Float16Array. */
  float16: Float16Data | Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int4: Int8Array;
  uint4: Uint8Array;
}

export type DataType = keyof Arrays;
export type TensorData = Arrays[DataType];

export interface Port {
  readonly name: string;
  /** The name in the source model, where it differs; `run` takes an input under both, and gives an output under `name`. */
  readonly original?: string;
  readonly dataType: DataType;
  /** Sizes, names of dimensions, or expressions of them. */
  readonly shape: readonly (number | string)[];
}

export interface Tensor<Type extends DataType = DataType> {
  readonly dataType: Type;
  readonly shape: readonly number[];
  readonly data: Arrays[Type];
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
): Promise<Results>;
export declare function load(options?: LoadOptions): Promise<Graph>;
