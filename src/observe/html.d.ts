// Pages are texts that are built in.
declare module "*.html" {
  const text: string;
  export default text;
}
