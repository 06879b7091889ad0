plugins {
    alias(libs.plugins.android.library)
    `maven-publish`
}

android {
    namespace = "org.legodnn"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
    }
    // What needs Android's framework is apart from what runs on any JVM.
    sourceSets["main"].java.srcDir("src/android/java")
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    publishing {
        singleVariant("release") {
            withSourcesJar()
            withJavadocJar()
        }
    }
}

dependencies {
    api(libs.jspecify) // annotations of the library's own interface
    implementation(libs.litert)
    testImplementation(libs.junit)
}

publishing {
    publications {
        register<MavenPublication>("release") {
            groupId = "org.legodnn"
            artifactId = "lego-runtime"
            version = libs.versions.library.get()
            afterEvaluate { from(components["release"]) }
            pom {
                name = "LegoDNN for Java and Android"
                description = "Models whose blocks are switched while they run, within budgets of memory and latency"
                licenses {
                    license {
                        name = "Apache-2.0"
                        url = "https://www.apache.org/licenses/LICENSE-2.0"
                    }
                }
            }
        }
    }
}
