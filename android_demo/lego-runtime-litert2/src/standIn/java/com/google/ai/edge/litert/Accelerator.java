package com.google.ai.edge.litert;

/** Stands in for LiteRT's. */
public enum Accelerator {
    CPU
}
