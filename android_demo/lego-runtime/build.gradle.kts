plugins {
    alias(libs.plugins.android.library)
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
}

dependencies {
    api(libs.jspecify) // annotations of the library's own interface
    implementation(libs.litert)
    testImplementation(libs.junit)
}
